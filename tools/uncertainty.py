"""How far a measurement may be off: by the pixel grid, and by what the segmenter was unsure of.

Errors are standard deviations. Three parts add in quadrature: the grid, whose pixels put a border
anywhere within half a pixel of where it is; the mask, which may be as large as the pixels of
probability 0.3 or as small as those of 0.7; and what such masks are usually off, where that has been
measured (`Segmentation.errors`), since a segmenter may be sure and wrong.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from overread.imaging.study import Mask, Spacing
from overread.tools.geometry import EmptyMaskError
from overread.tools.segmenter import ErrorKind, Segmentation

LOOSE, TIGHT = 0.3, 0.7
"""Probabilities at which a mask may as well end."""

NEAR = 0.2
"""Share of a value within which a measurement is called right; as benchmarks of open questions do."""

_FEW = 10
_UNIFORM = 1 / math.sqrt(12)
"""Standard deviation of what lies anywhere within one pixel."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A value with its standard deviation, both in one unit."""

    value: float
    error: float


def length_error(spacing: Spacing) -> float:
    """Return the grid's part of a length: two borders, each anywhere within a pixel.

    >>> round(length_error((1.0, 1.0)), 3)
    0.408
    """
    return math.sqrt(2) * _UNIFORM * max(spacing)


def area_error(mask: Mask, spacing: Spacing) -> float:
    """Return the grid's part of an area: each pixel of the border is in or out by chance.

    The four sides of a shape that is alike on both sides meet the grid alike, so that only a
    quarter of the border's pixels are independent.
    """
    border = np.count_nonzero(mask & ~ndimage.binary_erosion(mask))
    return 2 * math.sqrt(border) * _UNIFORM * spacing[0] * spacing[1]


def with_error(
    segmentation: Segmentation,
    measure: Callable[[Mask], float],
    grid: float,
    kind: ErrorKind = "length",
    scale: float | None = None,
) -> Measured:
    """Return a measurement of a mask and how far it may be off.

    Args:
        segmentation: Mask and probability.
        measure: Of a mask.
        grid: The grid's part of the error.
        kind: Which of the usual errors counts.
        scale: What it is a share of; None for the value.

    Raises:
        EmptyMaskError: The mask is empty.
    """
    value = measure(segmentation.mask)
    ends = []
    for level in (LOOSE, TIGHT):
        try:
            ends.append(measure(segmentation.probability >= level))
        except EmptyMaskError:
            ends.append(0.0)
    unsure = (max(*ends, value) - min(*ends, value)) / 2
    usual = segmentation.errors.get(kind, 0.0) * (value if scale is None else scale)
    return Measured(value, math.hypot(unsure, grid, usual))


def ratio(first: Measured, second: Measured) -> Measured:
    """Return a quotient; relative errors add in quadrature (JCGM 100:2008, 5.1.6).

    >>> ratio(Measured(1.0, 0.1), Measured(2.0, 0.0))
    Measured(value=0.5, error=0.05)
    """
    value = first.value / second.value
    relative = math.hypot(first.error / first.value, second.error / second.value)
    return Measured(value, value * relative)


def within(measured: Measured, floor: float = 0.0, count: bool = False) -> float:
    """Return the probability that the truth is near: within a fifth of the value, errors being normal.

    Args:
        measured: Value and error.
        floor: What is near of any value; a pixel, of lengths.
        count: It is a whole number, of which the truth is near only where it is the same; from
            eleven on a fifth counts, too.

    >>> round(within(Measured(10.0, 2.0)), 2), within(Measured(3.0, 0.0), count=True)
    (0.68, 1.0)
    """
    margin = max(floor, NEAR * abs(measured.value))
    if count:
        margin = max(0.5, margin) if measured.value > _FEW else 0.5
    if measured.error == 0:
        return 1.0
    return math.erf(margin / (measured.error * math.sqrt(2)))


def digits(error: float) -> float:
    """Return an error with two significant digits, as JCGM 100:2008, 7.2.6 advises.

    >>> digits(0.04267), digits(12.7)
    (0.043, 13.0)
    """
    return float(f"{error:.2g}")
