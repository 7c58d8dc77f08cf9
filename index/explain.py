"""Why a case was found: its score, what it shares with the query, and where the query is like it.

Where a heat map is right, the score falls when its hottest part is covered, and stays when its
coldest part is (`covered`; after Petsiuk, Das, Saenko, RISE, BMVC 2018).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from overread.imaging.errors import ConfigError
from overread.imaging.render import contact_sheet, heat_overlay, placed
from overread.imaging.study import Image
from overread.index.embedder import Embedder, Vectors
from overread.index.patches import PatchEmbedder
from overread.index.records import Hit

if TYPE_CHECKING:
    from overread.index.store import CaseIndex

COMMON = 200
"""Cases of a domain whose mean stands for what all of them share."""

COVERED = 0.1
"""Part of the image that is covered to check a heat map."""

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
    first, second = embedder.embed_images([query, neighbour])
    towards = second if common is None else second - common
    return Explanation(
        score=float(first @ second),
        shared=tuple(sorted({*labels} & {*theirs})),
        heat=heat_towards(embedder, query, towards),
    )


def heat_towards(
    embedder: Embedder, query: PILImage.Image, towards: Vectors
) -> NDArray[np.float32]:
    """Return how much each place of a picture adds to its product with a vector, (rows, columns).

    Args:
        embedder: Of the vector.
        query: Square, as `records.picture` draws it.
        towards: (dim,), of a neighbour or of words.

    Raises:
        ConfigError: The embedder cannot tell where.
    """
    if not isinstance(embedder, PatchEmbedder):
        raise ConfigError(f"the embedder {embedder.name} cannot tell which places are alike")
    return upsampled(embedder.embed_patches(query) @ towards, query.height, query.width)


def common_vector(index: "CaseIndex", domain: str) -> Vectors | None:
    """Return the mean vector of some cases of a domain; None where there are too few to tell."""
    refs = [str(facts["ref"]) for _, facts in islice(index.entries(domain=domain), COMMON)]
    found = list(index.vectors(domain, refs).values())
    return np.mean(found, axis=0, dtype=np.float32) if len(found) > 1 else None


def covered(
    score: Callable[[PILImage.Image], float],
    query: PILImage.Image,
    heat: NDArray[np.float32],
    box: tuple[int, int, int, int],
) -> tuple[float, float]:
    """Return the score once the hottest part of an image is covered, and once the coldest is.

    Args:
        score: Of a picture.
        query: As `records.picture` draws it.
        heat: (rows, columns) of the picture.
        box: Where the image lies in it: left, top, right, bottom.
    """
    left, top, right, bottom = box
    inside = heat[top:bottom, left:right]
    order = np.argsort(inside, axis=None)
    count = max(1, round(COVERED * inside.size))
    told = []
    for part in (order[-count:], order[:count]):
        pixels = np.array(query)
        image = pixels[top:bottom, left:right].reshape(-1, 3)
        image[part] = image.mean(axis=0)
        pixels[top:bottom, left:right] = image.reshape(bottom - top, right - left, 3)
        told.append(score(PILImage.fromarray(pixels)))
    return told[0], told[1]


def on_image(heat: NDArray[np.float32], image: Image) -> NDArray[np.float32]:
    """Return the heat of a picture on the image's own pixels, (rows, columns).

    Args:
        heat: Of its picture, as `records.picture` draws it.
        image: The image.
    """
    left, top, right, bottom = placed(image, len(heat))
    return upsampled(heat[top:bottom, left:right], *image.shape)


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
