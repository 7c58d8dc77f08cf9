"""`overread eval`: run benchmarks on any model and on the agent, and read the results."""

import json
import math
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from overread.ui.commands import eval_report
from overread.ui.options import BaseUrl, Json, NoStart, Profile, config_from
from overread.ui.terminal import err, out

if TYPE_CHECKING:
    from overread.evals.records import Record
    from overread.evals.runs import Run

app = typer.Typer(help="Evaluate models and the agent on benchmarks.", no_args_is_help=True)
app.command()(eval_report.report)
app.command()(eval_report.compare)

SUBJECTS = (
    "agent, agent/no-tools, agent/no-retrieval, agent/no-verify, bare (the planner's VLM asked "
    "directly), text-only[:SUBJECT] (images removed), serve:PROFILE, endpoint:URL#MODEL, "
    "agent-endpoint:URL, local:FOLDER, knn, majority. May be repeated."
)
SHOWN_REASONS = 3


class Engine(StrEnum):
    """Where items are asked."""

    LOCAL = "local"
    RAY = "ray"


class Bar:
    """Progress on stderr, a line a subject; quiet where stderr is no terminal."""

    def __init__(self) -> None:
        """Prepare; `progress` is to be entered."""
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}"),
            console=err if err.is_terminal else Console(quiet=True),
        )
        self._task: TaskID | None = None
        self._failed = 0

    def started(self, subject: str, done: int, total: int) -> None:
        """Begin a line."""
        self._failed = 0
        self._task = self.progress.add_task(escape(subject), total=total, completed=done, failed="")

    def recorded(self, record: "Record") -> None:
        """Count an item."""
        assert self._task is not None
        self._failed += record.status == "failed"
        failed = f"{self._failed} failed" if self._failed else ""
        self.progress.update(self._task, advance=1, failed=failed)


@app.command("run")
def run(
    benchmark: Annotated[
        str, typer.Argument(help="Name (see 'overread eval list'), or a benchmark's .toml file.")
    ],
    subject: Annotated[list[str], typer.Option("--subject", "-s", help=SUBJECTS)],
    place: Annotated[
        str | None, typer.Option(help="Folder or file of your copy, or a hub id.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which part of it.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="A sample of so many items, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample and of the subjects.")] = 0,
    epochs: Annotated[
        int, typer.Option(min=1, help="Ask each item so often, each time with the next seed.")
    ] = 1,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the runs; runs/BENCHMARK by default."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the runs that are there.")
    ] = False,
    ablate: Annotated[
        str | None,
        typer.Option(
            help="Also run the agent without each of these: tools,retrieval,verify.",
            show_default=False,
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Items asked at the same time.")] = 16,
    engine: Annotated[
        Engine, typer.Option(help="ray: spread the items over a Ray cluster (RAY_ADDRESS).")
    ] = Engine.LOCAL,
    shards: Annotated[
        int | None,
        typer.Option(min=1, help="Parts for --engine ray; one a machine by default."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask anew what was answered in earlier runs.")
    ] = False,
    training_manifest: Annotated[
        Path | None,
        typer.Option(help="Fingerprints of training items, besides those beside the weights."),
    ] = None,
    allow_contaminated: Annotated[
        bool, typer.Option("--allow-contaminated", help="Ask items of the training manifest, too.")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds that a server may be away before the run stops.")
    ] = 600.0,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="URL#MODEL",
            help="Have a model behind an OpenAI-compatible endpoint judge open answers, too.",
        ),
    ] = None,
    profile: Profile = None,
    base_url: BaseUrl = None,
    no_start: NoStart = False,
    as_json: Json = False,
) -> None:
    """Run a benchmark. A run that was killed goes on with --resume; no item is asked twice.

    For example:

        overread eval run phantoms --subject bare --subject knn --limit 200

        overread eval run phantoms --subject agent --ablate tools,retrieval,verify

        overread eval run vqa-rad --place ~/data/vqa-rad --subject endpoint:http://host:8000/v1#qwen
    """
    from overread.evals.batch import Request, run_all, with_ablations
    from overread.ui.planner_start import start_planner

    parts = [part.strip() for part in (ablate or "").split(",") if part.strip()]
    request = Request(
        benchmark=benchmark,
        place=place,
        split=split,
        limit=limit,
        seed=seed,
        subjects=with_ablations(subject, parts),
        out=out_dir or Path("runs") / Path(benchmark).stem,
        epochs=epochs,
        resume=resume,
        concurrency=concurrency,
        engine=engine.value,
        shards=shards,
        fresh=fresh,
        training_manifest=training_manifest,
        allow_contaminated=allow_contaminated,
        patience_s=patience,
        judge=judge,
    )
    config = config_from(profile=profile, base_url=base_url)
    bar = Bar()
    with bar.progress:
        runs = run_all(request, config, bar, lambda config: start_planner(config, not no_start))
    summaries = [_summary(done) for done in runs]
    if as_json:
        typer.echo(json.dumps(summaries))
        return
    out.print(_table(summaries))
    for done in runs:
        _print_notes(done)
    out.print(f"records and logs: {request.out}", soft_wrap=True, markup=False)


@app.command("list")
def list_benchmarks(as_json: Json = False) -> None:
    """List the benchmarks: what they are, where they come from, under which licence."""
    from overread.evals.benchmarks.registry import names, spec

    found = [spec(name) for name in names()]
    if as_json:
        fields = {"name", "title", "hub", "home", "licence", "splits", "default_split"}
        typer.echo(json.dumps([one.model_dump(mode="json", include=fields) for one in found]))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for heading in ("name", "what", "hub id or home", "splits", "licence"):
        table.add_column(heading, overflow="fold")
    for one in found:
        cells = (one.name, one.title, one.hub or one.home, ", ".join(one.splits), one.licence)
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)


def _summary(run: "Run") -> dict[str, Any]:
    """Return the numbers of a run; failed items count as 0 and are told."""
    from overread.evals.statistics.estimates import estimate

    found = estimate(run.records)
    has_interval = math.isfinite(found.low)
    return {
        "subject": run.spec.subject,
        "folder": str(run.folder),
        "items": len(run.records),
        "failed": sum(record.status == "failed" for record in run.records),
        "mean": found.mean,
        "low": found.low if has_interval else None,
        "high": found.high if has_interval else None,
        "contaminated": run.spec.contaminated,
        "judge": _judged(run),
    }


def _judged(run: "Run") -> dict[str, Any] | None:
    """Return what the judge of a run said; answers that it could not judge are counted apart."""
    from overread.evals.judging import JUDGE

    if run.spec.judge is None:
        return None
    said = [record.scores[JUDGE] for record in run.records if JUDGE in record.scores]
    return {
        "model": run.spec.judge["model"],
        "judged": len(said),
        "failed": sum(JUDGE in record.failed_scores for record in run.records),
        "mean": sum(said) / len(said) if said else None,
    }


def _table(summaries: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for heading in ("subject", "items", "failed", "score", "95 % interval"):
        table.add_column(heading)
    for row in summaries:
        interval = ""
        if row["low"] is not None:
            interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %"
        cells = (
            row["subject"],
            row["items"],
            row["failed"],
            f"{100 * row['mean']:.1f} %",
            interval,
        )
        table.add_row(*(escape(str(cell)) for cell in cells))
    return table


def _print_notes(run: "Run") -> None:
    """Tell what a reader of the table must know: failures, the judge, contamination, no index."""
    from overread.evals.reports.cases import reasons

    for reason, number in reasons(run.records)[:SHOWN_REASONS]:
        _warn(run, f"{number} failed", reason)
    if judged := _judged(run):
        right = "" if judged["mean"] is None else f", {100 * judged['mean']:.1f} % right"
        line = f"{run.spec.subject}: {judged['judged']} answers judged by {judged['model']}{right}"
        out.print(_plain(line), soft_wrap=True, markup=False)
    unjudged = Counter(reason for record in run.records for reason in record.failed_scores.values())
    for reason, number in unjudged.most_common(SHOWN_REASONS):
        _warn(run, f"{number} not judged", reason)
    if run.spec.contaminated:
        err.print(
            f"[red]{escape(run.spec.subject)}: {run.spec.contaminated} of {run.spec.items} items "
            "are in its training manifest[/]",
            soft_wrap=True,
        )
    if lacks_index(run.spec.identity):
        _warn(run, "no index of cases", "none could be retrieved; 'overread index build' makes one")


def lacks_index(identity: dict[str, Any]) -> bool:
    """Return whether a subject is an agent that may retrieve cases, and had none to retrieve."""
    from overread.evals.subjects.cited import RETRIEVAL

    if identity.get("kind") != "agent" or identity.get("index") is not None:
        return False
    tools = identity["agent"]["tools"]
    return tools is None or RETRIEVAL in tools


def _warn(run: "Run", what: str, reason: str) -> None:
    err.print(
        f"[yellow]{escape(run.spec.subject)}: {what}[/] {escape(_plain(reason))}", soft_wrap=True
    )


def _plain(text: str) -> str:
    """A server's words may be among it; a terminal would obey control characters."""
    return "".join(letter for letter in text if letter.isprintable())
