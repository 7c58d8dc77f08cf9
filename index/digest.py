"""One hash of all that an index holds, so that two of them can be compared."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from overread.index.records import Metadata
from overread.index.store import CaseIndex


@dataclass(frozen=True, slots=True)
class Digest:
    """What an index holds.

    Attributes:
        sha256: Over ids, metadata and documents of all collections, in the order of the ids.
            Vectors are left out: their last bits depend on the machine.
        images, texts: Numbers of both.
    """

    sha256: str
    images: int
    texts: int


def digest_of(index: CaseIndex) -> Digest:
    """Return the hash of an index; equal for equal cases, whatever order they were added in.

    Raises:
        IndexMismatch: The index is damaged.
    """
    images = _lines((id_, meta, None) for id_, meta in index.entries("images"))
    texts = _lines(index.documents())
    digest = hashlib.sha256()
    for kind, lines in (("images", images), ("texts", texts)):
        digest.update(f"{kind} {len(lines)}\n".encode())
        for line in lines:
            digest.update(line)
    return Digest(digest.hexdigest(), len(images), len(texts))


def _lines(rows: Iterable[tuple[str, Metadata, str | None]]) -> list[bytes]:
    lines = (
        json.dumps([id_, meta, document], sort_keys=True, ensure_ascii=False)
        for id_, meta, document in rows
    )
    return sorted(f"{line}\n".encode() for line in lines)
