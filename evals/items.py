"""What an evaluation asks: one item of a benchmark, whatever the benchmark."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

Kind = Literal["choice", "closed", "open", "number", "report", "mask", "boxes", "retrieval"]
"""How an item is answered: a letter, one of few words, free words, a number, a report, ..."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question about some images, with its reference.

    Attributes:
        id: Unique in its benchmark and the same in every download; never a row number where the
            benchmark has ids.
        question: As shown, without options.
        images: Files in the order of the question; empty for text-only items.
        answers: Accepted references; the first is the one to show. For "choice" the letter.
        kind: Decides prompt and scorer.
        options: Of "choice" and "closed", in order (letters A, B, ... are implied).
        cluster: Patient, else study, else image: what the bootstrap resamples together.
        slices: What tables are cut by, e.g. {"modality": "CT", "answer_type": "OPEN"}.
        extra: What a scorer needs beyond that, e.g. {"unit": "mm", "tolerance": 0.2} or
            {"mask": "masks/1.png", "target": "nodule"}. JSON-able.
    """

    id: str
    question: str
    images: tuple[Path, ...]
    answers: tuple[str, ...]
    kind: Kind
    options: tuple[str, ...] = ()
    cluster: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def letters(self) -> tuple[str, ...]:
        """Return A, B, ... for the options."""
        return tuple(chr(ord("A") + place) for place in range(len(self.options)))

    def fingerprint(self) -> str:
        """Return the SHA-256 by which training manifests and evaluations know an item again.

        Of the images' bytes and the question in lower case with single spaces: a renamed file or
        another id does not hide an item.
        """
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(_file_hash(image, image.stat().st_mtime_ns))
        digest.update(" ".join(self.question.lower().split()).encode())
        return digest.hexdigest()


@lru_cache(maxsize=65536)
def _file_hash(path: Path, mtime_ns: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
