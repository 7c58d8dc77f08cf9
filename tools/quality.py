"""How good a mask is thought to be, and where it is unsure; alike for every segmenter.

Both come from the probability map: the overlap that it lets expect, and the entropy of each pixel.
For a mask by prompts the map may be the mean over prompts moved a little, as a hand would put them:
what depends on a hair's breadth is unsure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.imaging.study import Image, Mask
from overread.tools.segmenter import Box, Point, Segmentation, Segmenter

Heat = NDArray[np.float32]

JITTERS = 8
"""How often prompts are moved."""

JITTER = 0.01
"""Standard deviation of a move, as a share of the longer side of the image."""


def expected_dice(probability: Heat, mask: Mask) -> float:
    """Return the Dice that a probability map lets expect of a mask, 0..1; 1 for nothing of nothing.

    Args:
        probability: float32, (rows, columns): of each pixel to belong to the target.
        mask: Boolean, (rows, columns).

    Source: Borges et al., Soft Dice confidence, arXiv:2402.10665.

    >>> expected_dice(np.array([[1.0, 0.5]], np.float32), np.array([[True, False]]))
    0.8
    """
    total = float(probability.sum(dtype=np.float64)) + int(mask.sum())
    return 2 * float(probability[mask].sum(dtype=np.float64)) / total if total else 1.0


def entropy(probability: Heat) -> Heat:
    """Return how unsure each pixel is, in bits: 0 is sure, 1 is a toss of a coin.

    >>> entropy(np.array([[0.0, 0.5, 1.0]], np.float32)).tolist()
    [[0.0, 1.0, 0.0]]
    """
    p = np.clip(probability.astype(np.float64), 1e-12, 1 - 1e-12)
    bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.where(bits < 1e-9, 0.0, bits).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """What is thought of a mask.

    Attributes:
        dice: That is to be expected, 0..1.
        uncertainty: float32 (rows, columns), in bits.
        source: What both come from, in words.
    """

    dice: float
    uncertainty: Heat
    source: str


def quality_of(segmentation: Segmentation) -> Quality:
    """Return what the probability map of a segmentation says of its mask."""
    return Quality(
        expected_dice(segmentation.probability, segmentation.mask),
        entropy(segmentation.probability),
        "entropy of the segmenter's own probabilities",
    )


def quality_by_jitter(
    segmenter: Segmenter,
    image: Image,
    segmentation: Segmentation,
    target: str | None = None,
    points: Sequence[Point] = (),
    box: Box | None = None,
    scribble: Mask | None = None,
    previous: Mask | None = None,
    seed: int = 0,
) -> Quality:
    """Return what prompts that are moved a little say of a mask.

    Args:
        segmenter: That made it.
        image: Of what.
        segmentation: The mask, by the prompts as they are.
        target: As it was given to the segmenter, and so the next five.
        points: With `box`, what is moved; one of them at least.
        box: The same.
        scribble: With `previous`, what stays as it is.
        previous: The same.
        seed: Of the moves.

    Source: Wang et al., Aleatoric uncertainty estimation with test-time augmentation, Neurocomputing
    338:34 (2019).
    """
    rng = np.random.default_rng(seed)
    rows, columns = image.shape
    spread = JITTER * max(rows, columns)

    def moved(x: int, y: int) -> tuple[int, int]:
        across, down = rng.normal(0, spread, 2)
        return (
            int(np.clip(round(x + across), 0, columns - 1)),
            int(np.clip(round(y + down), 0, rows - 1)),
        )

    total = segmentation.probability.astype(np.float32)
    for _ in range(JITTERS):
        placed = [(*moved(x, y), inside) for x, y, inside in points]
        put: Box | None = None
        if box is not None:
            (x0, y0), (x1, y1) = moved(*box[:2]), moved(*box[2:])
            put = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        total += segmenter.segment(image, target, placed, put, scribble, previous).probability
    mean = total / np.float32(JITTERS + 1)
    return Quality(
        expected_dice(mean, segmentation.mask),
        entropy(mean),
        f"entropy over {JITTERS} prompts moved by about {100 * JITTER:.0f} % of the image",
    )


def quality(
    segmenter: Segmenter,
    image: Image,
    segmentation: Segmentation,
    target: str | None = None,
    points: Sequence[Point] = (),
    box: Box | None = None,
    scribble: Mask | None = None,
    previous: Mask | None = None,
) -> Quality:
    """Return what is thought of a mask: by prompts moved a little where it has any that can be.

    Args as of `quality_by_jitter`.
    """
    if not points and box is None:
        return quality_of(segmentation)
    return quality_by_jitter(
        segmenter, image, segmentation, target, points, box, scribble, previous
    )
