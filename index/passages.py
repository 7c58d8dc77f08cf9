"""Passages with their provenance and licence, from documents and from a user's own files."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from overread.imaging.errors import InputError
from overread.index.chunks import passages_of

SUFFIXES = frozenset({".txt", ".md", ".jsonl"})
MAX_BYTES = 256 * 1024**2
"""Largest file of texts that we read."""

UNSTATED_LICENCE = "not stated"


@dataclass(frozen=True, slots=True)
class Document:
    """A text as it was found.

    Attributes:
        text: All of it.
        title: For people.
        source: The collection it is of. licence: On which terms.
        where: Its place in the collection: a number, a DOI, a file's name.
    """

    text: str
    title: str
    source: str
    licence: str
    where: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document.

    Attributes:
        text: Whole sentences where they fit.
        title, source, licence, where: As in `Document`.
        part, parts: Its number, from 1, and how many the document has.
    """

    text: str
    title: str
    source: str
    licence: str
    where: str
    part: int
    parts: int

    @property
    def id(self) -> str:
        """Hash of the passage and its provenance: the same passage gets the same id."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:32]

    def metadata(self) -> dict[str, Any]:
        """Return what is stored beside the text."""
        return {key: value for key, value in asdict(self).items() if key != "text"}


def cut(document: Document) -> list[Passage]:
    """Return the passages of a document."""
    texts = passages_of(document.text)
    facts = {key: value for key, value in asdict(document).items() if key != "text"}
    return [
        Passage(text=text, **facts, part=part, parts=len(texts))
        for part, text in enumerate(texts, start=1)
    ]


def documents_in(path: Path, licence: str = "") -> Iterator[Document]:
    """Yield the documents of a file, or of all files below a folder, in a stable order.

    A .txt or .md file is one document. A line of a .jsonl file is one: an object with `text` and, if
    known, `title`, `source`, `licence` and `id`.

    Args:
        path: A .txt, .md or .jsonl file, or a folder.
        licence: Of texts that state none.

    Raises:
        InputError: There is no such file, or one cannot be used.
    """
    if path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.suffix in SUFFIXES and f.is_file())
        if not files:
            raise InputError(f"{path} has no file of texts; we read .txt, .md and .jsonl.")
        for file in files:
            yield from documents_in(file, licence)
        return
    if path.suffix not in SUFFIXES or not path.is_file():
        raise InputError(
            f"{path} is no file of texts; give a .txt, .md or .jsonl file or a folder."
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES // 1024**2} MiB; part it.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text: {error}") from error
    if path.suffix != ".jsonl":
        yield Document(text, path.stem, path.name, licence or UNSTATED_LICENCE, path.name)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield _line(path, number, line, licence)


def _line(path: Path, number: int, line: str, licence: str) -> Document:
    try:
        fields = json.loads(line)
        text = fields["text"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}, line {number} is no object with a 'text'; correct it."
        ) from error

    def said(key: str, otherwise: str) -> str:
        return str(fields.get(key) or otherwise).strip()

    return Document(
        text=str(text),
        title=said("title", path.stem),
        source=said("source", path.name),
        licence=said("licence", licence or UNSTATED_LICENCE),
        where=said("id", f"{path.name}, line {number}"),
    )
