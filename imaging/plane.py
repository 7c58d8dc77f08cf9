"""Where the slices of a series lie along their common normal. All in mm."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from overread.imaging.study import Plane

POSITION_TOLERANCE_MM = 0.01
"""Slices closer than this lie in the same plane."""

GAP = 1.5
"""Steps of more than so many usual ones are gaps: where one slice is missing it is two."""


def slice_spacing(positions: Sequence[float | None]) -> float | None:
    """Return the median distance between neighbouring planes, in mm, or None for fewer than two.

    >>> slice_spacing([0.0, 2.5, 2.5, 5.0]), slice_spacing([None, None])
    (2.5, None)
    """
    known = np.sort([p for p in positions if p is not None])
    steps = np.diff(known)
    steps = steps[steps > POSITION_TOLERANCE_MM]
    return float(np.median(steps)) if steps.size and known.size == len(positions) else None


def along_normal(planes: Sequence[Plane | None], step: float) -> NDArray[np.float64]:
    """Return how far along the first one's normal planes lie, (planes,).

    Those of a regular grid (NIfTI) are not told one by one: they lie `step` apart.

    >>> along_normal([None, None, None], 2.5).tolist()
    [0.0, 2.5, 5.0]
    """
    known = [plane for plane in planes if plane is not None]
    if len(known) < len(planes):
        return step * np.arange(len(planes), dtype=np.float64)
    return np.array([plane.position for plane in known]) @ normal(known[0])


def normal(plane: Plane) -> NDArray[np.float64]:
    """Return the unit vector across a plane, (3,)."""
    across = np.cross(plane.row, plane.column)
    return np.asarray(across / np.linalg.norm(across))


def steps(positions: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return the way to each slice from the one before, and behind the last, (slices + 1,).

    What lies outside the series is as far away as slices usually are from each other.

    >>> steps(np.array([0.0, 2.0, 5.0]), 2.0).tolist()
    [2.0, 2.0, 3.0, 2.0]
    """
    return np.r_[step, np.diff(positions), step]
