"""Findings by words alone: how much nearer a picture lies to "effusion" than to "normal".

The difference of two cosines is no probability. It becomes one by a logistic curve that was fitted
to phantoms with known findings, for one embedder; for any other it is given as it is.
"""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from overread.index.embedder import Embedder
from overread.index.records import caption

CALIBRATION = Path(__file__).with_name("weights") / "zero_shot.json"
NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Scored:
    """A label with its lead over "normal" in cosine, and its probability where it is known."""

    label: str
    lead: float
    probability: float | None


@lru_cache(maxsize=1)
def _calibration() -> dict[str, dict[str, tuple[float, float]]]:
    return json.loads(CALIBRATION.read_text("utf-8")) if CALIBRATION.is_file() else {}


def curve(embedder: str, label: str, domain: str) -> tuple[float, float] | None:
    """Return slope and offset of a label's logistic curve; None where none was fitted."""
    found = _calibration().get(embedder, {}).get(f"{domain}/{label}")
    return None if found is None else (found[0], found[1])


def leads(
    embedder: Embedder, picture: PIL.Image.Image, labels: tuple[str, ...], modality: str, part: str
) -> list[float]:
    """Return how much nearer a picture lies to each label than to "normal", in cosine.

    Args:
        embedder: Of pictures and words.
        picture: As `records.picture` draws it.
        labels: In words.
        modality: DICOM Modality, for the wording.
        part: Body part, or "".
    """
    vectors = np.stack([vector_of(embedder, label, modality, part) for label in (NORMAL, *labels)])
    likeness = vectors @ embedder.embed_images([picture])[0]
    return [float(value - likeness[0]) for value in likeness[1:]]


def direction(embedder: Embedder, label: str, modality: str, part: str) -> NDArray[np.float32]:
    """Return the vector that leads from "normal" to a label, (dim,); its product is the lead."""
    normal, named = (vector_of(embedder, name, modality, part) for name in (NORMAL, label))
    return named - normal


def vector_of(embedder: Embedder, label: str, modality: str, part: str) -> NDArray[np.float32]:
    """Return the mean vector, of length one, of several ways to say that a picture shows a label.

    Args:
        embedder: Of words.
        label: In words, or `NORMAL`.
        modality: DICOM Modality, for the wording.
        part: Body part, or "".
    """
    return _mean(embedder.embed_texts(list(_words(label, modality, part))))


def score(
    embedder: Embedder,
    picture: PIL.Image.Image,
    labels: tuple[str, ...],
    domain: str,
    modality: str,
    part: str,
) -> list[Scored]:
    """Return the labels, the most probable first."""
    found = []
    told = leads(embedder, picture, labels, modality, part)
    for label, lead in zip(labels, told, strict=True):
        fitted = curve(embedder.name, label, domain)
        probability = None
        if fitted is not None:
            probability = 1 / (1 + math.exp(-min(max(fitted[0] * lead + fitted[1], -30), 30)))
        found.append(Scored(label, lead, probability))
    return sorted(found, key=lambda item: -(item.probability or item.lead))


def _words(label: str, modality: str, part: str) -> tuple[str, ...]:
    named = caption(modality, part, (label,))
    said = "no abnormality" if label == NORMAL else label
    return named, f"{said.capitalize()}.", f"Findings: {said}."


def _mean(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    mean = vectors.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)
