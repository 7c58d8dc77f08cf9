"""Sizes, counts, places and sides of masks. Knows masks and spacing, not models or files.

Lengths and areas are in the unit of the spacing: pass (1.0, 1.0) for pixels.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import find_contours

from overread.imaging.errors import InputError
from overread.imaging.study import Mask, Spacing

PIXELS: Spacing = (1.0, 1.0)
_TOUCHING = np.ones((3, 3), dtype=bool)


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
    """Return the long axis of the largest region and its longest chord at right angles to that.

    The long axis is the greatest distance between two points of the outline (maximum Feret
    diameter). The short axis stays inside the outline: across a crescent it does not count the hollow.
    Holes do not end it.

    Raises:
        EmptyMaskError: No pixel is set.

    Source: Eisenhauer et al., RECIST 1.1, Eur J Cancer 45:228 (2009) for the two axes;
    Feret, La grosseur des grains des matieres pulverulentes (1930) for the diameter.

    >>> axes(np.ones((2, 6), bool), (0.5, 0.5))[0] > 3.0
    True
    """
    points = _outline(largest_region(mask), spacing)
    longest, (down, across) = _feret(points)
    return longest, _longest_chord(points @ [[down, -across], [across, down]])


def long_axis(mask: Mask, spacing: Spacing = PIXELS) -> float:
    """Return the long axis of the largest region, as `axes` does.

    Raises:
        EmptyMaskError: No pixel is set.
    """
    return _feret(_outline(largest_region(mask), spacing))[0]


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


def _outline(region: Mask, spacing: Spacing) -> NDArray[np.float64]:
    """Return the closed outer border, (points, 2), in the unit of the spacing, from any origin.

    It runs through the middles of the outer pixel edges, so that one pixel is one pixel long.
    """
    left, top, right, bottom = box_around(region)
    padded = np.pad(region[top : bottom + 1, left : right + 1], 1).astype(np.float64)
    borders = find_contours(padded, 0.5, fully_connected="high")  # joins at corners, as regions do
    outer = max(borders, key=lambda border: float(np.ptp(border[:, 0])))
    return np.asarray(outer * spacing)


def _feret(points: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the greatest distance between two points of an outline, and its direction."""
    hull = points[ConvexHull(points).vertices]
    gaps = pdist(hull)
    first, second = np.triu_indices(len(hull), k=1)
    longest = int(np.argmax(gaps))
    return float(gaps[longest]), (hull[second[longest]] - hull[first[longest]]) / gaps[longest]


def _longest_chord(outline: NDArray[np.float64]) -> float:
    """Return the longest chord of a closed outline, (points, 2), along its second coordinate.

    Between the first coordinates of two neighbouring corners, chords grow or shrink evenly, so that the
    longest lies just before or just behind a corner.
    """
    order = np.argsort(np.stack([outline[:-1, 0], outline[1:, 0]]), axis=0)
    ends = np.take_along_axis(np.stack([outline[:-1], outline[1:]]), order[:, :, None], axis=0)
    (start, start_height), (end, end_height) = ends[0].T, ends[1].T
    places = np.unique(outline[:, 0])
    longest = 0.0
    for side in ("left", "right"):
        # Edges count one of their ends: each line then crosses an even number of them.
        first, behind = (np.searchsorted(places, ends, side) for ends in (start, end))
        crossed = behind - first
        edge = np.repeat(np.arange(crossed.size), crossed)
        line = first[edge] + np.arange(edge.size) - np.repeat(crossed.cumsum() - crossed, crossed)
        share = (places[line] - start[edge]) / (end - start)[edge]
        height = start_height[edge] + share * (end_height - start_height)[edge]
        height = height[np.lexsort((height, line))]
        longest = max(longest, float((height[1::2] - height[::2]).max()))
    return longest
