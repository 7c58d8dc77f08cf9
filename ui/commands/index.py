"""`overread index`: build, search and describe the index of similar cases."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from overread.imaging.errors import IndexMismatch, InputError
from overread.ui.commands import index_build, index_corpus
from overread.ui.options import Json, config_from
from overread.ui.terminal import err, out

if TYPE_CHECKING:
    from overread.agent.resources import Resources
    from overread.imaging.study import Image
    from overread.index.filters import Filters
    from overread.index.records import Hit
    from overread.index.store import CaseIndex

app = typer.Typer(help="The index of similar cases.", no_args_is_help=True)
app.command()(index_build.build)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="An image file, or words.")],
    words: Annotated[
        str, typer.Option(help="With an image: words that count as well.", show_default=False)
    ] = "",
    count: Annotated[int, typer.Option("-k", min=1, max=100, help="How many cases.")] = 5,
    domain: Annotated[
        str | None,
        typer.Option(help="Such as chest-xray; by default the image's own, or all for words."),
    ] = None,
    modality: Annotated[str | None, typer.Option(help="Such as CT.")] = None,
    body_part: Annotated[str | None, typer.Option(help="Such as chest.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="A finding they have; may be given again.")
    ] = None,
    age: Annotated[str | None, typer.Option(help="Years: 40-60, 40-, -60 or 50.")] = None,
    sex: Annotated[str | None, typer.Option(help="F, M or O.")] = None,
    date: Annotated[
        str | None, typer.Option(help="As the archive has it: 20200101-20201231, 20200101-.")
    ] = None,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Prefer cases that are unlike each other.")
    ] = False,
    explain: Annotated[
        Path | None,
        typer.Option(help="With an image: folder for a picture of each case, why it was found."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find the cases that are most like an image, or that fit some words.

    For example:

        overread index search chest.dcm

        overread index search "left pleural effusion" -k 3 --domain chest-xray --age 60-
    """
    from overread.index.domain_head import UNKNOWN
    from overread.index.domains import identify
    from overread.index.filters import Exclude, Filters, Scope
    from overread.index.records import picture, pixel_hash

    filters = Filters(
        modality=modality,
        body_part=body_part,
        labels=tuple(label or ()),
        age=number_range("--age", age),
        sex=sex,
        date=number_range("--date", date),
    )
    resources, index = open_existing()
    if explain is not None and not Path(query).is_file():
        raise InputError("--explain needs an image to look at, not words")
    if Path(query).is_file():
        image = _image(resources, Path(query))
        patient = resources.archive.study(image.ref.study_id).patient_id
        if domain is None and index.policy.route:
            seen = identify(image, index.embedder).domain
            domain = seen if seen != UNKNOWN else None
        scope = Scope(filters, Exclude(patient=patient, pixels=pixel_hash(picture(image))), domain)
        if words:
            hits = index.search(words, count, scope, image, diverse)
        else:
            hits = index.search_image(image, count, scope, diverse)
        if explain is not None:
            from overread.ui.commands.index_explain import write_explanations

            written = write_explanations(explain, index, resources, image, hits)
            err.print(f"{len(written)} pictures are in {explain}", soft_wrap=True)
    else:
        scope = Scope(filters, domain=domain)
        hits = index.search(f"{query} {words}".strip(), count, scope, diverse=diverse)
    if as_json:
        typer.echo(json.dumps([asdict(hit) for hit in hits]))
        return
    if not hits:
        err.print(_nothing(index, domain, filters))
        return
    out.print(_table(hits))


@app.command()
def domain(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    as_json: Json = False,
) -> None:
    """Tell the domain of an image, what told it, and how probable each is.

    For example:

        overread index domain chest.png
    """
    from overread.agent.resources import Resources, embedder
    from overread.index.domains import identify

    config = config_from()
    verdict = identify(_image(Resources(config), image), embedder(config.index.embedder))
    if as_json:
        typer.echo(json.dumps(asdict(verdict)))
        return
    out.print(f"{verdict.domain}, told by the {verdict.by}")
    for name, share in sorted(verdict.probabilities.items(), key=lambda one: -one[1]):
        out.print(f"  {share:6.1%}  {name}")


@app.command()
def tune(as_json: Json = False) -> None:
    """Fit to the index how many similar cases are kept, domain by domain, and remember it.

    Cases with labels are asked as questions, their own patients left out; half of the patients
    choose, the other half tell what it is worth. The agreement is the F1 of the labels of most kept
    cases with the case's own.

    For example:

        overread index tune
    """
    from overread.index.tuning import tune as fitted

    _, index = open_existing()
    found, left_out = [], []
    for name in index.domains():
        try:
            tuned = fitted(index, name)
        except InputError as error:
            left_out.append(str(error))
            continue
        index.remember(name, tuned.cut)
        found.append(tuned)
    if as_json:
        typer.echo(json.dumps({"tuned": [asdict(one) for one in found], "left_out": left_out}))
        return
    for one in found:
        out.print(
            f"{one.domain}: gamma {one.cut.gamma:g}, floor {one.cut.floor:.2f}; agreement "
            f"{one.f1:.2f} ({one.default_f1:.2f} by default), {one.kept:.1f} cases kept, none for "
            f"{one.abstained:.0%} of {one.queries // 2} patients"
        )
    for reason in left_out:
        err.print(f"[yellow]left as it was[/] {escape(reason)}")


@app.command()
def stats(as_json: Json = False) -> None:
    """Say how many images and texts of which domains the index holds."""
    resources, index = open_existing()
    found = index.stats()
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    out.print(f"{resources.index_place}", soft_wrap=True)
    out.print(f"{found.images} images, {found.texts} texts, embedder {found.embedder}")
    for name, images in found.by_domain.items():
        own = found.embedders[name]
        out.print(f"  {name}: {images}{'' if own == found.embedder else f', embedder {own}'}")


app.command()(index_build.digest)
app.command()(index_corpus.corpus)
app.command()(index_corpus.passages)


def open_existing() -> "tuple[Resources, CaseIndex]":
    """Return the index that was built.

    Raises:
        IndexMismatch: There is none, or it is damaged.
        ConfigError: The embedder or the Chroma server cannot be used.
    """
    from overread.agent.resources import Resources

    resources = Resources(config_from())
    index = resources.index()
    if index is None:
        raise IndexMismatch(
            f"there is no index at {resources.index_place}; "
            "make one with 'overread index build FOLDER' or 'overread demo'"
        )
    return resources, index


def _image(resources: "Resources", path: Path) -> "Image":
    from overread.agent.intake import register

    return resources.archive.load(register(resources, [path], limit=1)[0])


def number_range(option: str, text: str | None) -> tuple[int | None, int | None] | None:
    """Read "40-60", "40-", "-60" or "50"."""
    if text is None:
        return None
    low, dash, high = text.strip().partition("-")
    ends = (low, high if dash else low)
    if not any(ends) or not all(end.isdecimal() for end in ends if end):
        raise InputError(f"{option} takes numbers such as 40-60, 40- or -60, not '{text}'")
    return int(ends[0]) if ends[0] else None, int(ends[1]) if ends[1] else None


def _nothing(index: "CaseIndex", domain: str | None, filters: "Filters") -> str:
    counts = index.stats().by_domain
    if not counts:
        return "the index is empty; fill it with 'overread index build FOLDER'"
    if domain is not None and domain not in counts:
        return f"the index has no case of {domain}; it has {', '.join(counts)}"
    return "no case passes the filter" if filters else "no case fits"


def _table(hits: "list[Hit]") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for heading in ("score", "case", "labels", "report", "source"):
        table.add_column(heading, overflow="fold")
    for hit in hits:
        report = hit.report if len(hit.report) <= 160 else f"{hit.report[:159]}…"
        cells = (f"{hit.score:.2f}", hit.study_id, ", ".join(hit.labels), report, hit.source)
        table.add_row(*(escape(cell) for cell in cells))
    return table
