"""Carry the outline of one slice or frame through the others of its series.

A segmenter with a memory (SAM 2 and 3 for video) looks at all frames that it has seen. Any other
gets the mask of the neighbour as the mask to correct, with a click at its deepest place. Either way
the structure ends where nothing is found any more, or where what is found is another thing: it lies
elsewhere, or is as bright as what lay around it in the neighbour. (A network that is pointed at a place
always finds something.)
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.imaging.errors import InputError
from overread.imaging.study import Image, Mask
from overread.tools.segmenter import Segmentation, Segmenter

MAX_FRAMES = 400
"""Frames of a series that are followed at most."""

KEPT_OVERLAP = 0.5
"""Least share of the smaller of two neighbouring masks that must lie in the other."""

_RING = 4
"""Pixels around a mask that are its surroundings."""

_CLEAR = 0.5
"""Contrast to the surroundings, in their standard deviations, from which brightness can tell."""

_BASIS = "the outline that was carried on"


@runtime_checkable
class Remembers(Protocol):
    """What a segmenter can do that follows a mask by memory."""

    def remember(
        self, images: Sequence[Image], start: int, first: Mask
    ) -> list[Segmentation] | None:
        """Return one segmentation a frame; None if this checkpoint has no memory.

        Args:
            images: In order, all of one shape.
            start: Index of the frame that is outlined.
            first: Its mask, (rows, columns).
        """
        ...


def follow(
    segmenter: Segmenter, images: Sequence[Image], start: int, first: Mask
) -> list[Segmentation]:
    """Return the outline in every image of a series, from that in one of them.

    Args:
        segmenter: Any.
        images: In order.
        start: Index of the image that is outlined.
        first: Its mask, (rows, columns), not empty.

    Returns:
        One an image; where the structure has ended, `found` is False and the mask is empty.

    Raises:
        InputError: There are too many images, `start` is not one of them, or the mask is empty or
            of another shape.
    """
    if len(images) > MAX_FRAMES:
        raise InputError(f"the series has {len(images)} images; at most {MAX_FRAMES} are followed")
    if not 0 <= start < len(images):
        raise InputError(f"there is no image {start} among {len(images)}")
    if first.shape != images[start].shape or not first.any():
        raise InputError("the outline to be followed is empty, or not of the image's shape")
    remembered = None
    if isinstance(segmenter, Remembers) and len({image.shape for image in images}) == 1:
        remembered = segmenter.remember(images, start, first)
    if remembered is not None:
        return remembered
    given = Segmentation(first, first.astype(np.float32), True, 1.0, _BASIS)
    back = _chain(segmenter, images[: start + 1][::-1], given)
    return [*back[:0:-1], *_chain(segmenter, images[start:], given)]


def _chain(
    segmenter: Segmenter, images: Sequence[Image], first: Segmentation
) -> list[Segmentation]:
    found = [first]
    for last, image in pairwise(images):
        before = found[-1]
        empty = Segmentation(
            np.zeros(image.shape, bool), np.zeros(image.shape, np.float32), False, 1.0, _BASIS
        )
        if not before.found or image.shape != last.shape:
            found.append(empty)
            continue
        row, column = deepest(before.mask)
        now = segmenter.segment(image, points=[(column, row, True)], previous=before.mask)
        goes_on = (
            now.found
            and _same(before.mask, now.mask)
            and _alike(_grey(last), before.mask, _grey(image), now.mask)
        )
        found.append(now if goes_on else empty)
    return found


def _grey(image: Image) -> NDArray[np.float32]:
    pixels = image.pixels.astype(np.float32)
    return pixels.mean(axis=2) if image.is_colour else pixels


def _alike(last: NDArray[np.float32], before: Mask, now: NDArray[np.float32], mask: Mask) -> bool:
    """Return whether a mask is as bright as its neighbour, rather than as what lay around that."""
    ring = ndimage.binary_dilation(before, iterations=_RING) & ~before
    if not ring.any():
        return True
    inside, outside = float(last[before].mean()), float(last[ring].mean())
    if abs(inside - outside) < _CLEAR * float(last[ring].std()):
        return True
    here = float(now[mask].mean())
    return abs(here - inside) <= abs(here - outside)


def _same(before: Mask, now: Mask) -> bool:
    smaller = min(int(before.sum()), int(now.sum()))
    return smaller > 0 and int((before & now).sum()) >= KEPT_OVERLAP * smaller


def deepest(mask: Mask) -> tuple[int, int]:
    """Return the (row, column) of a mask that lies farthest from its border.

    >>> deepest(np.ones((3, 5), bool))[0]
    1
    """
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), mask.shape)
    return int(row), int(column)
