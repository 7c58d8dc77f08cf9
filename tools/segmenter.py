"""The slot for segmenters: what any of them takes and gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from overread.imaging.study import Image, Mask

Point = tuple[int, int, bool]
Box = tuple[int, int, int, int]

ErrorKind = Literal["length", "area", "count", "shift"]

INSIDE = "mean probability inside the mask"
"""The `basis` of a confidence that says nothing of presence."""


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """A mask with how sure the segmenter is.

    Attributes:
        mask: Boolean, (rows, columns) of the image; empty when `found` is False.
        probability: float32, (rows, columns): of each pixel to belong to the target.
        found: Whether the target is in the image at all.
        confidence: 0..1: estimated probability that `found` is right. For a segmentation by
            prompts alone, where presence is given, how good the mask is thought to be.
        basis: What `confidence` is an estimate of, and where it comes from, in words.
        errors: How far measurements of such masks are usually off, as shares of a length, an area or
            a count; of the brain's width for a shift. Empty where nobody measured it.
    """

    mask: Mask
    probability: NDArray[np.float32]
    found: bool
    confidence: float
    basis: str = ""
    errors: Mapping[ErrorKind, float] = field(default_factory=dict)


class Segmenter(Protocol):
    """Anything that turns an image and a prompt into a mask."""

    @property
    def version(self) -> str:
        """Name and version of the model, as evidence records it."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The names it knows; empty when it takes geometric prompts alone."""

    @property
    def any_words(self) -> bool:
        """Whether it also takes words that are not in `targets`, at its own peril."""

    def segment(
        self,
        image: Image,
        target: str | None = None,
        points: Sequence[Point] = (),
        box: Box | None = None,
        scribble: Mask | None = None,
        previous: Mask | None = None,
    ) -> Segmentation:
        """Segment what the target names and the prompts point at.

        Args:
            image: Grey or colour, any size.
            target: A name or a synonym of one; None to go by the prompts alone.
            points: (x, y, is_inside) in pixels, x is the column.
            box: (left, top, right, bottom) in pixels, inclusive.
            scribble: Strokes inside the target, (rows, columns).
            previous: The mask that the prompts correct, (rows, columns).

        Raises:
            InputError: Neither a target nor a prompt, a target outside the vocabulary, a prompt
                outside the image, or a mask of another shape.
        """
