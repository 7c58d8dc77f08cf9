"""Why a case was found: its score, what it shares with the query, and where the query is like it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from overread.imaging.errors import ConfigError
from overread.imaging.render import contact_sheet, heat_overlay
from overread.index.embedder import Embedder, Vectors
from overread.index.patches import PatchEmbedder
from overread.index.records import Hit

_TILE = 384


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a neighbour was found.

    Attributes:
        score: Cosine of the two pictures.
        shared: Labels that both have; empty where the query's are not known.
        heat: float32 (rows, columns) of the query's picture. How much each place adds to the
            score beyond what it adds to the likeness with any case. For towers that average, its
            mean is the score minus that common part; its sign counts: below zero a place speaks
            against the neighbour.
    """

    score: float
    shared: tuple[str, ...]
    heat: NDArray[np.float32]


def explain(
    embedder: Embedder,
    query: PILImage.Image,
    neighbour: PILImage.Image,
    common: Vectors | None = None,
    labels: Sequence[str] = (),
    theirs: Sequence[str] = (),
) -> Explanation:
    """Say why a picture is like another.

    Args:
        embedder: That found it.
        query: Square, as `records.picture` draws it.
        neighbour: The same.
        common: Mean vector of other cases found, (dim,): what every case of the kind shares is no
            reason for this one. None to leave it in.
        labels: Of the query, if known.
        theirs: Of the neighbour.

    Raises:
        ConfigError: The embedder cannot tell where.
    """
    if not isinstance(embedder, PatchEmbedder):
        raise ConfigError(f"the embedder {embedder.name} cannot tell which places are alike")
    first, second = embedder.embed_images([query, neighbour])
    towards = second if common is None else second - common
    patches = embedder.embed_patches(query) @ towards
    return Explanation(
        score=float(first @ second),
        shared=tuple(sorted({*labels} & {*theirs})),
        heat=upsampled(patches, query.height, query.width),
    )


def upsampled(patches: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Enlarge a map bilinearly, (rows, columns)."""
    picture = PILImage.fromarray(np.asarray(patches, np.float32), mode="F")
    return np.asarray(picture.resize((columns, rows), PILImage.Resampling.BILINEAR))


def drawn(
    query: PILImage.Image, neighbour: PILImage.Image, hit: Hit, why: Explanation
) -> PILImage.Image:
    """Draw query, heat and neighbour beside each other, with words below."""
    shared = f", shares {', '.join(why.shared)}" if why.shared else ""
    captions = ["query", f"alike here{shared}", f"{why.score:.2f} {', '.join(hit.labels)}"]
    heat = heat_overlay(query, why.heat)
    return contact_sheet([query, heat, neighbour], captions, columns=3, tile=_TILE)
