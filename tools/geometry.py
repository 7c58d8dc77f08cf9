"""Sizes, counts, places and sides of masks. Knows masks and spacing, not models or files.

Lengths and areas are in the unit of the spacing: pass (1.0, 1.0) for pixels.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from overread.imaging.errors import InputError
from overread.imaging.study import Mask, Spacing

PIXELS: Spacing = (1.0, 1.0)
_TOUCHING = np.ones((3, 3), dtype=bool)
_EDGE_MIDDLES = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]])


class EmptyMaskError(InputError):
    """The structure is not in the image, so it has no size or place."""


def area(mask: Mask, spacing: Spacing = PIXELS) -> float:
    """Return the area of all set pixels.

    Args:
        mask: Boolean, shape (rows, columns).
        spacing: Between rows, then between columns.

    >>> area(np.array([[True, True, False]]), (0.5, 2.0))
    2.0
    """
    return float(np.count_nonzero(mask)) * spacing[0] * spacing[1]


def regions(mask: Mask) -> int:
    """Return the number of connected regions; pixels that touch at a corner are connected."""
    return int(ndimage.label(mask, structure=_TOUCHING)[1])


def largest_region(mask: Mask) -> Mask:
    """Return the connected region with the most pixels.

    Raises:
        EmptyMaskError: No pixel is set.
    """
    _require_pixels(mask)
    labels, found = ndimage.label(mask, structure=_TOUCHING)
    if found == 1:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def axes(mask: Mask, spacing: Spacing = PIXELS) -> tuple[float, float]:
    """Return the long axis of the largest region and its greatest width across that axis.

    The long axis is the greatest distance between two points of the border (maximum Feret
    diameter); the short axis is the extent at right angles to it. The border runs through the
    middles of the outer pixel edges, so that one pixel has a long axis of one pixel.

    Raises:
        EmptyMaskError: No pixel is set.

    Source: Eisenhauer et al., RECIST 1.1, Eur J Cancer 45:228 (2009) for the two axes;
    Feret, La grosseur des grains des matieres pulverulentes (1930) for the diameter.

    >>> axes(np.ones((2, 6), bool), (0.5, 0.5))[0] > 3.0
    True
    """
    hull = _hull(largest_region(mask), spacing)
    gaps = pdist(hull)
    first, second = np.triu_indices(len(hull), k=1)
    longest = int(np.argmax(gaps))
    along = (hull[second[longest]] - hull[first[longest]]) / gaps[longest]
    across = hull @ np.array([-along[1], along[0]])
    return float(gaps[longest]), float(np.ptp(across))


def extent(mask: Mask, spacing: Spacing = PIXELS) -> tuple[float, float]:
    """Return the height and the width of the box around all set pixels.

    Raises:
        EmptyMaskError: No pixel is set.

    >>> extent(np.array([[False, True, True]]), (0.2, 0.5))
    (0.2, 1.0)
    """
    _require_pixels(mask)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    return float(height) * spacing[0], float(width) * spacing[1]


def centroid(mask: Mask) -> tuple[float, float]:
    """Return the mean row and the mean column of the set pixels, in pixels.

    Raises:
        EmptyMaskError: No pixel is set.
    """
    _require_pixels(mask)
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def distance(mask: Mask, other: Mask, spacing: Spacing = PIXELS) -> float:
    """Return the shortest distance between pixel centres of two masks; 0 where they overlap.

    Raises:
        EmptyMaskError: One of them has no pixel set.

    >>> distance(np.array([[True, False, False]]), np.array([[False, False, True]]), (1.0, 0.5))
    1.0
    """
    _require_pixels(mask)
    _require_pixels(other)
    to_other = ndimage.distance_transform_edt(~other, sampling=spacing)
    return float(to_other[mask].min())


def midline_shift(brain: Mask, ventricles: Mask, spacing: Spacing = PIXELS) -> float:
    """Return how far the ventricles' centroid lies to the right of the brain's middle column.

    The middle is halfway between the brain's leftmost and rightmost columns; a negative shift is
    towards the left of the picture. This is a stand-in for the clinical measure, the displacement
    of the septum pellucidum from the line between the attachments of the falx, and equals it only
    in an unrotated axial slice with ventricles of equal size.

    Raises:
        EmptyMaskError: One of them has no pixel set.

    Source of the clinical measure: Liao et al., Brain midline shift measurement and its
    automation, Int J Biomed Imaging 2018:4303161.
    """
    _require_pixels(brain)
    columns = np.flatnonzero(brain.any(axis=0))
    middle = float(columns[0] + columns[-1]) / 2
    return (centroid(ventricles)[1] - middle) * spacing[1]


def picture_position(mask: Mask) -> str:
    """Say in which third of the picture, across and down, the centroid of a mask lies.

    Raises:
        EmptyMaskError: No pixel is set.

    >>> picture_position(np.eye(9, dtype=bool))
    'centre'
    >>> picture_position(np.arange(9).reshape(3, 3) == 2)
    'upper right'
    """
    row, column = centroid(mask)
    down = ("upper", "centre", "lower")[_third(row, mask.shape[0])]
    across = ("left", "centre", "right")[_third(column, mask.shape[1])]
    return "centre" if down == across else f"{down} {across}"


def box_around(mask: Mask) -> tuple[int, int, int, int]:
    """Return the first and last column and row as (left, top, right, bottom), all inclusive.

    Raises:
        EmptyMaskError: No pixel is set.
    """
    _require_pixels(mask)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _third(position: float, length: int) -> int:
    return min(int(3 * (position + 0.5) / length), 2)


def _require_pixels(mask: Mask) -> None:
    if not mask.any():
        raise EmptyMaskError("the mask has no pixel set")


def _hull(mask: Mask, spacing: Spacing) -> NDArray[np.float64]:
    """Return the convex hull of the border, (points, 2), in the unit of the spacing."""
    rows, columns = np.nonzero(mask)
    # Only the two ends of each row can be corners of the hull.
    starts = np.flatnonzero(np.r_[True, np.diff(rows) > 0])
    ends = [index for a, b in pairwise([*starts, rows.size]) for index in (a, b - 1)]
    pixels = np.stack([rows[ends], columns[ends]], axis=1).astype(np.float64)
    points = (pixels[:, None, :] + _EDGE_MIDDLES).reshape(-1, 2) * np.asarray(spacing)
    return np.asarray(points[ConvexHull(points).vertices])
