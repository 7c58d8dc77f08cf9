"""`overread index`: build, search and describe the index of similar cases."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from overread.imaging.errors import IndexMismatch
from overread.ui.options import Json, config_from
from overread.ui.terminal import err, out

if TYPE_CHECKING:
    from overread.agent.config import Config
    from overread.agent.resources import Resources
    from overread.index.records import Hit
    from overread.index.store import CaseIndex

app = typer.Typer(help="The index of similar cases.", no_args_is_help=True)
SHOWN_PROBLEMS = 5


def file_progress() -> Progress:
    """Return a progress bar on stderr that counts files."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        # A disabled bar still ends with an empty line; a quiet console prints nothing at all.
        console=err if err.is_terminal else Console(quiet=True),
        transient=True,
    )


def open_index(config: "Config", resources: "Resources") -> "CaseIndex":
    """Open the index to add to it; an empty one is made when there is none.

    Raises:
        IndexMismatch: It was built with another embedder, or is damaged.
        ConfigError: The embedder or the Chroma server cannot be used.
    """
    from overread.index.embedder import load_embedder
    from overread.index.store import CaseIndex

    embedder = load_embedder(config.index.embedder)
    return CaseIndex.open(resources.index_place, embedder, create=True)


@app.command()
def build(
    source: Annotated[
        Path, typer.Argument(help="Folder of images, or a .csv, .jsonl or .parquet manifest.")
    ],
    as_json: Json = False,
) -> None:
    """Add a folder or a manifest to the index; run again, it adds only what is missing.

    A manifest has a column `path` and, if known, labels, report, patient_id, study_id, modality,
    body_part, domain, source and licence.

    For example:

        overread index build cases/manifest.csv
    """
    from overread.agent.resources import Resources
    from overread.index.ingest import build_index

    config = config_from()
    resources = Resources(config)
    index = open_index(config, resources)
    with file_progress() as bar:
        task = bar.add_task("indexing", total=None)
        summary = build_index(
            source,
            index,
            resources.archive,
            resources.pseudonymiser,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
        return
    out.print(
        f"{summary.studies} studies, {summary.images} images: {summary.added} added, "
        f"{summary.already} were there, {len(summary.quarantined)} files left out"
    )
    for item in summary.quarantined[:SHOWN_PROBLEMS]:
        err.print(f"[yellow]left out[/] {escape(item.path)}: {escape(item.reason)}")
    if len(summary.quarantined) > SHOWN_PROBLEMS:
        err.print(f"all of them are in {resources.index_place}/quarantine.jsonl")


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="An image file, or words.")],
    count: Annotated[int, typer.Option("-k", min=1, max=100, help="How many cases.")] = 5,
    domain: Annotated[str | None, typer.Option(help="Such as chest-xray; all by default.")] = None,
    as_json: Json = False,
) -> None:
    """Find the cases that are most like an image, or that fit some words.

    For example:

        overread index search chest.dcm

        overread index search "left pleural effusion" -k 3 --domain chest-xray
    """
    resources, index = _open()
    where = {"domain": domain} if domain else None
    if Path(query).is_file():
        from overread.agent.intake import register

        ref = register(resources, [Path(query)], limit=1)[0]
        patient = resources.archive.study(ref.study_id).patient_id
        image = resources.archive.load(ref)
        hits = index.search_image(image, count, where, exclude_patient=patient)
    else:
        hits = index.search_text(query, count, where)
    if as_json:
        typer.echo(json.dumps([asdict(hit) for hit in hits]))
        return
    out.print(_table(hits))


@app.command()
def stats(as_json: Json = False) -> None:
    """Say how many images and texts of which domains the index holds."""
    resources, index = _open()
    found = index.stats()
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    out.print(f"{resources.index_place}", soft_wrap=True)
    out.print(f"{found.images} images, {found.texts} texts, embedder {found.embedder}")
    for domain, images in found.by_domain.items():
        out.print(f"  {domain}: {images}")


def _open() -> "tuple[Resources, CaseIndex]":
    from overread.agent.resources import Resources

    resources = Resources(config_from())
    index = resources.index()
    if index is None:
        raise IndexMismatch(
            f"there is no index at {resources.index_place}; "
            "make one with 'overread index build FOLDER' or 'overread demo'"
        )
    return resources, index


def _table(hits: "list[Hit]") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for heading in ("score", "case", "labels", "report", "source"):
        table.add_column(heading, overflow="fold")
    for hit in hits:
        report = hit.report if len(hit.report) <= 160 else f"{hit.report[:159]}…"
        cells = (f"{hit.score:.2f}", hit.study_id, ", ".join(hit.labels), report, hit.source)
        table.add_row(*(escape(cell) for cell in cells))
    return table
