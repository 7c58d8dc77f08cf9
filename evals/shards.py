"""Spread a run over the machines of a Ray cluster: each takes a part, its records are merged.

A shard is an ordinary run in a folder of its own. Where machines share a file system, its records
are taken over while it goes on; elsewhere when it ends.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from overread.agent.config import Config
from overread.evals.batch import Loaded, Request, cache_of, judging_of, load_benchmark
from overread.evals.journal import FILE, Journal, key_of, read_records
from overread.evals.records import Record
from overread.evals.run_spec import RunSpec
from overread.evals.runs import OnRecord, Run, evaluate, failed_rows, open_folder, read_run
from overread.evals.subjects.factory import Items, make_subject
from overread.imaging.errors import OverreadError
from overread.index.engines import start_ray

SHARDS = "shards"
_POLL_S = 2.0


def evaluate_on_ray(
    request: Request,
    text: str,
    spec: RunSpec,
    loaded: Loaded,
    config: Config,
    folder: Path,
    *,
    on_start: Callable[[int], None],
    on_record: OnRecord,
) -> Run:
    """As `runs.evaluate`, with the items spread over a cluster (RAY_ADDRESS) or over this machine.

    Raises:
        ConfigError: Ray is not installed.
        OverreadError: As `runs.evaluate`, from the first shard that failed.
    """
    ray = start_ray()
    try:
        with open_folder(spec, folder, request.resume) as journal:
            _merge(folder, journal, on_record)
            shutil.rmtree(folder / SHARDS, ignore_errors=True)
            on_start(len(journal.records))
            _take(list(failed_rows(spec, loaded.left_out)), journal, on_record)
            todo = [
                item.id
                for item in loaded.items
                if any((item.id, epoch) not in journal.records
                       for epoch in range(1, spec.epochs + 1))
            ]  # fmt: skip
            number = request.shards or max(1, len(ray.nodes()))
            parts = [part for start in range(number) if (part := todo[start::number])]
            remote = ray.remote(_shard)
            waiting = [
                remote.remote(
                    request.model_dump_json(),
                    text,
                    spec.model_dump_json(),
                    config.model_dump_json(),
                    json.dumps(part),
                    str((folder / SHARDS / str(place)).resolve()),
                )
                for place, part in enumerate(parts)
            ]
            _collect(ray, waiting, folder, journal, on_record)
    finally:
        ray.shutdown()
    shutil.rmtree(folder / SHARDS, ignore_errors=True)
    return read_run(folder)


def _collect(
    ray: Any, waiting: list[Any], folder: Path, journal: Journal, on_record: OnRecord
) -> None:
    failures: list[OverreadError] = []
    while waiting:
        done, waiting = ray.wait(waiting, timeout=_POLL_S)
        _merge(folder, journal, on_record)
        for shard in done:
            try:
                lines = ray.get(shard)
            except ray.exceptions.RayTaskError as error:
                cause = error.cause
                failures.append(
                    cause if isinstance(cause, OverreadError) else OverreadError(str(cause))
                )
                continue
            _take([Record.model_validate_json(line) for line in lines], journal, on_record)
    if failures:
        raise failures[0]


def _merge(folder: Path, journal: Journal, on_record: OnRecord) -> None:
    """Take over what shards have written so far, as far as this machine sees it."""
    for path in sorted((folder / SHARDS).glob(f"*/{FILE}")):
        _take(read_records(path), journal, on_record)


def _take(records: list[Record], journal: Journal, on_record: OnRecord) -> None:
    for record in records:
        if key_of(record) not in journal.records:
            journal.append(record)
            on_record(record)


def _shard(request: str, text: str, spec: str, config: str, ids: str, folder: str) -> list[str]:
    """Run a part of the items on the machine that Ray chose; JSON in, JSON out."""
    asked = Request.model_validate_json(request)
    settings = Config.model_validate_json(config)
    loaded = load_benchmark(asked, settings)
    wanted = set(json.loads(ids))
    items = [item for item in loaded.items if item.id in wanted]
    subject = make_subject(
        text, settings, Items(loaded.items, loaded.train), concurrency=asked.concurrency
    )
    run = evaluate(
        RunSpec.model_validate_json(spec).model_copy(update={"items": len(items)}),
        items,
        loaded.prompts,
        subject,
        Path(folder),
        metrics=loaded.metrics,
        resume=True,
        concurrency=asked.concurrency,
        cache=cache_of(asked, settings),
        judging=judging_of(asked, settings),
        patience_s=asked.patience_s,
    )
    return [record.model_dump_json() for record in run.records]
