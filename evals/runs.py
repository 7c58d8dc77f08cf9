"""A run: one subject on one benchmark, in one folder, that can be killed at any moment.

`records.jsonl` is the truth of a run; `logs/` holds inspect_ai's logs for its viewer.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from overread.evals.items import Item, Kind
from overread.evals.journal import FILE, Journal, key_of, only_writer, read_records
from overread.evals.patience import LIMIT_S, Patience, ServerGone
from overread.evals.records import Record
from overread.evals.reply_cache import ReplyCache
from overread.evals.run_spec import RUN_FILE, RunSpec, check_same, read_spec
from overread.evals.subjects.base import Subject
from overread.imaging.errors import ConfigError, InputError, OverreadError, PlannerUnavailable
from overread.imaging.files import write_whole

if TYPE_CHECKING:
    from overread.evals.judging import Judging
    from overread.evals.tasks import Asking

LOGS = "logs"
CONCURRENCY = 16
OnRecord = Callable[[Record], None]


@dataclass(frozen=True, slots=True)
class Run:
    """A run as read back.

    Attributes:
        spec: What was run.
        records: In the order of item and epoch.
        folder: Where it is.
    """

    spec: RunSpec
    records: list[Record]
    folder: Path

    @property
    def is_complete(self) -> bool:
        """Whether every item has a record."""
        return len(self.records) == self.spec.items * self.spec.epochs


def evaluate(
    spec: RunSpec,
    items: Sequence[Item],
    prompts: Mapping[str, str],
    subject: Subject,
    folder: Path,
    *,
    metrics: Mapping[Kind, str] | None = None,
    resume: bool = False,
    concurrency: int = CONCURRENCY,
    cache: ReplyCache | None = None,
    judging: "Judging | None" = None,
    left_out: Mapping[str, str] | None = None,
    patience_s: float = LIMIT_S,
    on_start: Callable[[int], None] = lambda done: None,
    on_record: OnRecord = lambda record: None,
) -> Run:
    """Ask a subject all items that have no record yet.

    Args:
        spec: What is run.
        items: Of the benchmark.
        prompts: Their wording, by id.
        subject: Who is asked; it is closed at the end.
        folder: Of the run.
        metrics: Kind of item to the score that decides, where it is not the usual one.
        resume: Go on with the run that is there.
        concurrency: Items asked at the same time.
        cache: Of replies; None to ask afresh.
        judging: Who judges open answers beside the metrics; it is closed at the end.
        left_out: Rows of the benchmark that are no item, id to reason; recorded as failed.
        patience_s: Seconds that a server may be away before the run stops.
        on_start: Called with the number of records that are there already.
        on_record: Called after each record.

    Raises:
        InputError: There is a run already, or another one than is to be resumed.
        PlannerUnavailable: The server is away; the records so far are kept.
    """
    from overread.evals.tasks import Asking, by_id

    questions = by_id(items)
    with open_folder(spec, folder, resume) as journal:
        on_start(len(journal.records))
        for record in failed_rows(spec, left_out or {}):
            if key_of(record) not in journal.records:
                journal.append(record)
                on_record(record)
        asking = Asking(
            benchmark=spec.benchmark,
            subject=subject,
            items=questions,
            prompts=prompts,
            metrics=metrics or {},
            seed=spec.seed,
            journal=journal,
            cache=cache,
            judging=judging,
            patience=Patience(patience_s),
            on_record=on_record,
        )
        try:
            asyncio.run(_run(asking, spec.epochs, folder, concurrency))
        except ServerGone as error:
            raise PlannerUnavailable(
                f"{error}; {len(journal.records)} of {spec.items * spec.epochs} records are "
                f"in {folder}: start the server and run the same command with --resume"
            ) from error
    return read_run(folder)


def failed_rows(spec: RunSpec, left_out: Mapping[str, str]) -> Iterator[Record]:
    """Yield the records of rows that could not be made an item."""
    for item, reason in left_out.items():
        for epoch in range(1, spec.epochs + 1):
            yield Record(
                benchmark=spec.benchmark,
                subject=spec.subject,
                item=item,
                epoch=epoch,
                status="failed",
                reason=reason,
                question="",
                cluster=item,
            )


@contextmanager
def open_folder(spec: RunSpec, folder: Path, resume: bool) -> Iterator[Journal]:
    """Open a run's folder for writing, and note what is run.

    Raises:
        InputError: There is a run already, another one than is to be resumed, or another process
            works in it.
        ConfigError: The folder cannot be written.
    """
    try:
        (folder / LOGS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the run folder {folder} cannot be made ({error.strerror}); choose another --out"
        ) from error
    with only_writer(folder):
        before = read_spec(folder) if (folder / RUN_FILE).is_file() else None
        if before is None:
            write_whole(folder / RUN_FILE, spec.model_dump_json(indent=2) + "\n")
        else:
            refuse_second(folder, resume)
            check_same(before, spec, folder)
        journal = Journal(folder / FILE)
        try:
            yield journal
        finally:
            journal.close()


def refuse_second(folder: Path, resume: bool) -> None:
    """Refuse to start a run where there is one.

    Raises:
        InputError: There is a run, and it is not to be resumed.
    """
    if (folder / RUN_FILE).is_file() and not resume:
        raise InputError(
            f"{folder} holds a run already; add --resume to go on with it, or choose another --out"
        )


async def _run(asking: "Asking", epochs: int, folder: Path, concurrency: int) -> None:
    # inspect_ai reads these: no display among ours, and no trace in the user's home.
    os.environ.setdefault("INSPECT_DISPLAY", "none")
    os.environ.setdefault("INSPECT_TRACE_FILE", str(folder / LOGS / "trace.log"))
    from inspect_ai import eval_async
    from inspect_ai.util import display_type

    from overread.evals.tasks import build_task

    display_type()  # reads the environment; left to itself, eval_async would choose "plain"
    try:
        logs = await eval_async(
            build_task(asking, epochs),
            model=None,
            log_dir=str(folder / LOGS),
            max_samples=concurrency,
            max_connections=concurrency,
            fail_on_error=True,
            log_realtime=False,
            log_images=False,
            score_display=False,
            ctl_server=False,
            log_level="critical",
        )
    finally:
        await asking.subject.close()
        if asking.judging is not None:
            await asking.judging.close()
    if asking.fatal is not None:
        raise asking.fatal
    (log,) = logs
    if log.status == "cancelled":
        raise KeyboardInterrupt
    if log.status != "success":
        why = log.error.message if log.error else log.status
        raise OverreadError(f"inspect_ai gave up: {why}; its log is {log.location}")


def read_run(folder: Path) -> Run:
    """Read a run back.

    Raises:
        InputError: The folder holds no run, or a file in it is damaged.
    """
    return Run(read_spec(folder), read_records(folder / FILE), folder)


def find_runs(folder: Path) -> list[Path]:
    """Return the folders of runs: the folder itself, or those directly below it, sorted.

    Raises:
        InputError: There is none.
    """
    found = [folder] if (folder / RUN_FILE).is_file() else []
    found = found or sorted(path.parent for path in folder.glob(f"*/{RUN_FILE}"))
    if not found:
        raise InputError(
            f"{folder} holds no run; make one with 'overread eval run BENCHMARK --out {folder}'"
        )
    return found
