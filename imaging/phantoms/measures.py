"""Lengths, areas, counts and sides of masks. Knows masks and spacing, not anatomy."""

import numpy as np
from scipy.ndimage import label
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from overread.imaging.errors import InputError
from overread.imaging.study import Mask, Spacing

_EIGHT = np.ones((3, 3), dtype=bool)
_EDGE_MIDDLES = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]])


def _require(mask: Mask) -> None:
    if not mask.any():
        raise InputError("cannot measure an empty mask")


def count(mask: Mask) -> int:
    """Return the number of objects (pixels that touch, diagonals included, are one)."""
    return int(label(mask, structure=_EIGHT)[1])


def largest(mask: Mask) -> Mask:
    """Return the object of the mask that has most pixels."""
    _require(mask)
    labels, number = label(mask, structure=_EIGHT)
    if number == 1:
        return mask
    return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))


def long_axis_mm(mask: Mask, spacing_mm: Spacing) -> float:
    """Return the greatest Feret diameter of the largest object, between pixel borders, in mm.

    >>> round(long_axis_mm(np.array([[True, True, True, True]]), (1.0, 0.5)), 3)
    2.0
    """
    rows, columns = np.nonzero(largest(mask))
    first = np.unique(rows, return_index=True)[1]
    last = np.append(first[1:], rows.size) - 1
    ends = np.concatenate([first, last])
    pixels = np.stack([rows[ends], columns[ends]], axis=1).astype(np.float64)
    points = (pixels[:, None, :] + _EDGE_MIDDLES).reshape(-1, 2) * spacing_mm
    return float(pdist(points[ConvexHull(points).vertices]).max())


def area_mm2(mask: Mask, spacing_mm: Spacing) -> float:
    """Return the area of all set pixels, in mm2."""
    return float(np.count_nonzero(mask)) * spacing_mm[0] * spacing_mm[1]


def extent_px(mask: Mask, axis: int) -> int:
    """Return the extent in pixels along an axis: 0 is height, 1 is width."""
    _require(mask)
    line = np.flatnonzero(mask.any(axis=1 - axis))
    return int(line[-1] - line[0] + 1)


def width_ratio(mask: Mask, reference: Mask) -> float:
    """Return the ratio of horizontal extents (cardiothoracic ratio of heart and thorax)."""
    return extent_px(mask, 1) / extent_px(reference, 1)


def height_ratio(mask: Mask, reference: Mask) -> float:
    """Return the ratio of vertical extents (vertical cup-to-disc ratio)."""
    return extent_px(mask, 0) / extent_px(reference, 0)


def centroid(mask: Mask) -> tuple[float, float]:
    """Return the mean row and column of the set pixels."""
    _require(mask)
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def relative_row(mask: Mask, reference: Mask) -> float:
    """Return the height of the mask's centroid in the reference: 0 at its top, 1 at its bottom."""
    _require(reference)
    line = np.flatnonzero(reference.any(axis=1))
    return (centroid(mask)[0] - float(line[0])) / max(float(line[-1] - line[0]), 1.0)


def midline_shift_mm(ventricles: Mask, brain: Mask, spacing_mm: Spacing) -> float:
    """Return how far the ventricles lie to the right of the picture from the brain's middle, mm.

    The middle is halfway between the brain's leftmost and rightmost columns.
    """
    _require(brain)
    line = np.flatnonzero(brain.any(axis=0))
    return (centroid(ventricles)[1] - float(line[0] + line[-1]) / 2) * spacing_mm[1]
