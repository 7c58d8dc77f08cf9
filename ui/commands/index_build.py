"""`overread index build|digest`: fill the index, and hash what it holds."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from overread.ui.options import Json, config_from
from overread.ui.terminal import err, out

SHOWN_PROBLEMS = 5


class Engine(StrEnum):
    """What fills the index."""

    local = "local"
    ray = "ray"


class Duplicates(StrEnum):
    """What becomes of an image that nearly equals one of another study."""

    mark = "mark"
    skip = "skip"


def file_progress() -> Progress:
    """Return a progress bar on stderr that counts, with rate and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        # A disabled bar still ends with an empty line; a quiet console prints nothing at all.
        console=err if err.is_terminal else Console(quiet=True),
        transient=True,
    )


def build(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder of images; a .csv, .jsonl or .parquet manifest; or a folder that Hugging "
            "Face datasets has saved."
        ),
    ],
    engine: Annotated[
        Engine, typer.Option(help="This machine, or a Ray cluster (RAY_ADDRESS).")
    ] = Engine.local,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that read and embed; by default what the cores bear."),
    ] = None,
    duplicates: Annotated[
        Duplicates,
        typer.Option(help="Mark, or leave out, images that nearly equal one of another study."),
    ] = Duplicates.mark,
    as_json: Json = False,
) -> None:
    """Add a folder, a manifest or a saved data set to the index; run again, it goes on.

    A manifest has a column `path` and, if known, labels, report, patient_id, study_id, modality,
    body_part, domain, source and licence. A saved data set has these and an image column.

    For example:

        overread index build cases/manifest.csv

        overread index build /archive --engine ray --duplicates skip
    """
    from overread.agent.resources import Resources
    from overread.index.ingest import Plan, build_index

    resources = Resources(config_from())
    index = resources.make_index()
    with file_progress() as bar:
        task = bar.add_task("indexing", total=None, rate="")

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.1f}/s" if speed else "")

        summary = build_index(
            source,
            index,
            resources.archive,
            resources.pseudonymiser,
            show,
            plan=Plan(engine.value, workers, duplicates.value),
            notes=resources.data / "index",
        )
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
        return
    doubles = f", {summary.duplicates} double another study's" if summary.duplicates else ""
    out.print(
        f"{summary.studies} studies, {summary.images} images: {summary.added} added, "
        f"{summary.already} were there{doubles}, {len(summary.quarantined)} files left out"
    )
    for item in summary.quarantined[:SHOWN_PROBLEMS]:
        err.print(f"[yellow]left out[/] {escape(item.path)}: {escape(item.reason)}")
    if len(summary.quarantined) > SHOWN_PROBLEMS:
        err.print(f"all of them are in {resources.data / 'index' / 'quarantine.jsonl'}")


def digest(as_json: Json = False) -> None:
    """Print one hash of all ids, facts and texts in the index, to compare it with another.

    For example:

        overread index digest
    """
    from overread.index.digest import digest_of
    from overread.ui.commands.index import open_existing

    _, index = open_existing()
    found = digest_of(index)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    out.print(f"{found.sha256}  {found.images} images, {found.texts} texts", soft_wrap=True)
