"""What became of findings between two images: which are new, gone, larger, smaller, unchanged.

Knows masks on one grid, not images or models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from overread.imaging.study import Mask, Spacing
from overread.tools import geometry

Fate = Literal["new", "resolved", "larger", "smaller", "unchanged"]

CLEAR = 1.12
"""Ratio of mean diameters from which a change is called one: beyond what two outlines of one
finding differ by (for nodules: MacMahon et al., Fleischner Society, Radiology 284:228, 2017, asks
for 2 mm, which is this much of 16 mm)."""

SPECK = 6
"""Regions of fewer pixels are noise of the mask."""

_REACH, _NEAR_MM = 1.0, 8.0
"""One finding's two places lie within its diameter, or so near, whatever moved in between."""


Place = tuple[float, ...]
"""(Row, column) of an image, or a point of the patient."""


@dataclass(frozen=True, slots=True)
class Lesion:
    """One finding: where it is, and its axes and mean diameter, as the spacing.

    Attributes:
        slice: Number of the slice of its series in which it is largest, and was measured; None in a
            single image.
    """

    place: Place
    long_axis: float
    diameter: float
    slice: int | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """One finding over time; None where it is not."""

    fate: Fate
    now: Lesion | None
    before: Lesion | None

    @property
    def ratio(self) -> float | None:
        """Mean diameter now over then."""
        if self.now is None or self.before is None:
            return None
        return self.now.diameter / self.before.diameter


def lesions(mask: Mask, spacing: Spacing) -> list[Lesion]:
    """Return the separate findings of a mask, largest first."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    found = []
    for number in range(1, count + 1):
        region = labels == number
        if np.count_nonzero(region) >= SPECK:
            found.append(measured(region, spacing, geometry.centroid(region)))
    return sorted(found, key=lambda lesion: -lesion.diameter)


def measured(region: Mask, spacing: Spacing, place: Place, slice: int | None = None) -> Lesion:
    """Return a finding by the region that shows it."""
    diameter = math.sqrt(4 * geometry.area(region, spacing) / math.pi)
    return Lesion(place, geometry.long_axis(region, spacing), diameter, slice)


def follow(
    now: list[Lesion], before: list[Lesion], moved: Sequence[Place], spacing: tuple[float, ...]
) -> list[Followed]:
    """Pair findings by place, each once, and say what became of them.

    Args:
        now: Of the later image.
        before: Of the earlier image, measured there.
        moved: Where those would be in the later image.
        spacing: What one step of a place's coordinates is, in the unit of the sizes.
    """
    apart = np.full((len(now), len(before)), np.inf)
    for i, lesion in enumerate(now):
        for j, place in enumerate(moved):
            steps = zip(lesion.place, place, spacing, strict=True)
            gap = math.hypot(*((here - there) * step for here, there, step in steps))
            reach = max(_REACH * max(lesion.diameter, before[j].diameter), _NEAR_MM)
            apart[i, j] = gap if gap <= reach else np.inf
    pairs = _pairs(apart)
    told = [
        Followed(fate(now[i].diameter / before[j].diameter), now[i], before[j])
        for i, j in sorted(pairs.items())
    ]
    told += [Followed("new", lesion, None) for i, lesion in enumerate(now) if i not in pairs]
    gone = set(range(len(before))) - set(pairs.values())
    return told + [Followed("resolved", None, before[j]) for j in sorted(gone)]


def _pairs(apart: np.ndarray) -> dict[int, int]:
    if not apart.size or not np.isfinite(apart).any():
        return {}
    far = float(apart[np.isfinite(apart)].max()) * (apart.size + 1) + 1.0
    rows, columns = linear_sum_assignment(np.where(np.isfinite(apart), apart, far))
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if np.isfinite(apart[i, j])}


def fate(ratio: float) -> Fate:
    """Return what became of a finding whose mean diameter is so many times what it was."""
    if ratio >= CLEAR:
        return "larger"
    return "smaller" if ratio <= 1 / CLEAR else "unchanged"
