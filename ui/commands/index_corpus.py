"""`overread index corpus|passages`: the text corpus and its search."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from overread.imaging.errors import InputError
from overread.ui.commands.index_build import file_progress
from overread.ui.options import Json, config_from
from overread.ui.terminal import err, out

if TYPE_CHECKING:
    from overread.index.corpus import TextCorpus
    from overread.index.passages import Document

_SHOWN_CHARS = 700


def corpus(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="reports, guidelines, terms, or .txt, .md and .jsonl files or folders of them; by "
            "default what installed packages hold."
        ),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of your own files that state none.")] = "",
    as_json: Json = False,
) -> None:
    """Cut texts into passages and add them to the index; run again, it adds what is missing.

    For example:

        overread index corpus

        overread index corpus terms notes/ --licence "our hospital's own"
    """
    from overread.index.corpora import CORPORA
    from overread.index.passages import cut

    names = sources or [name for name, one in CORPORA.items() if one.path is not None]
    for name in [] if sources else CORPORA:
        if name not in names:
            package = CORPORA[name].distribution
            err.print(f"[yellow]left out[/] {name}: '{package}' is not installed")
    if not names:
        raise InputError(
            "no text is installed; install 'overread[corpus]', or give .txt, .md or .jsonl files"
        )
    store = _open(create=True)
    counts = (0, 0)
    with file_progress() as bar:
        task = bar.add_task("passages", total=None, rate="")
        parts = (part for name in names for text in _documents(name, licence) for part in cut(text))
        for counts in store.add(parts):
            bar.update(task, completed=counts[0])
    seen, added = counts
    if as_json:
        typer.echo(json.dumps({"passages": seen, "added": added, "stored": len(store)}))
        return
    out.print(f"{seen} passages: {added} added; {len(store)} are stored")


def passages(
    query: Annotated[str, typer.Argument(help="Words.")],
    count: Annotated[int, typer.Option("-k", min=1, max=100, help="How many passages.")] = 5,
    as_json: Json = False,
) -> None:
    """Find the passages that mean what some words do, or have them; with source and licence.

    For example:

        overread index passages "pleural effusion"
    """
    from overread.tools.fence import fence

    found = _open(create=False).search(query, count)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
        return
    if not found:
        err.print("no passage fits")
    for number, one in enumerate(found, start=1):
        passage = one.passage
        part = f", part {passage.part} of {passage.parts}" if passage.parts > 1 else ""
        out.print(f"{number}. [bold]{escape(passage.title)}[/]{part}  {one.score:.2f}")
        out.print(f"   {escape(fence(passage.text, _SHOWN_CHARS))}")
        told = f"{passage.source}; {passage.where}; licence: {passage.licence}"
        out.print(f"   [dim]{escape(told)}[/]")


def _documents(name: str, licence: str) -> "Iterator[Document]":
    from overread.index.corpora import CORPORA
    from overread.index.passages import documents_in

    return CORPORA[name].documents() if name in CORPORA else documents_in(Path(name), licence)


def _open(create: bool) -> "TextCorpus":
    from overread.agent.resources import Resources

    return Resources(config_from()).open_passages(create)
