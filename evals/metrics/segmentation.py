"""Overlap and distance of two masks, by MONAI.

What an empty mask scores is a choice, and it is made here: agreeing that nothing is there is
perfect (1, 0 mm); one empty mask is as wrong as can be (0, the diagonal of the picture in mm).
So no item leaves the denominator, and missing a structure is never better than drawing it badly.

Source: Maier-Hein et al., Metrics reloaded, Nature Methods 21:195 (2024), which also asks for the
worst value where a prediction is missing.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from overread.imaging.errors import InputError
from overread.imaging.study import Mask

if TYPE_CHECKING:
    from torch import Tensor

Spacing = tuple[float, float]

BOTH_EMPTY_OVERLAP, ONE_EMPTY_OVERLAP = 1.0, 0.0
BOTH_EMPTY_MM = 0.0  # one empty: the diagonal, see `worst_distance_mm`


def dice(mask: Mask, truth: Mask) -> float:
    """Return twice the intersection over the sum of both areas, 0..1.

    Args:
        mask: Boolean, (rows, columns).
        truth: Same shape.

    Raises:
        InputError: A mask is not boolean or not two-dimensional, or the shapes differ.

    Source: Dice, Measures of the amount of ecologic association, Ecology 26:297 (1945).

    >>> round(dice(np.array([[True, True]]), np.array([[True, False]])), 3)
    0.667
    """
    _check(mask, truth)
    if (empty := _empty_overlap(mask, truth)) is not None:
        return empty
    from monai.metrics import compute_dice

    return float(compute_dice(*_tensors(mask, truth)))


def iou(mask: Mask, truth: Mask) -> float:
    """Return the intersection over the union, 0..1.

    Args, Raises: As `dice`.

    >>> iou(np.array([[True, True]]), np.array([[True, False]]))
    0.5
    """
    _check(mask, truth)
    if (empty := _empty_overlap(mask, truth)) is not None:
        return empty
    from monai.metrics import compute_iou

    return float(compute_iou(*_tensors(mask, truth)))


def hd95(mask: Mask, truth: Mask, spacing_mm: Spacing) -> float:
    """Return the 95th percentile of the distances between two outlines, in mm; 0 is perfect.

    The percentile is taken in each direction; the larger one counts. Outlines are the centres of
    the pixels that erosion takes away.

    Args:
        mask: Boolean, (rows, columns).
        truth: Same shape.
        spacing_mm: Between rows, then between columns; (1, 1) gives pixels.

    Raises:
        InputError: As `dice`, or a spacing is not positive.

    Source: Huttenlocher et al., IEEE PAMI 15:850 (1993), with a percentile for the maximum.

    >>> apart = np.array([[True, False, False], [False, False, True]])
    >>> hd95(apart[:1], apart[1:], (0.5, 0.25))
    0.5
    """
    _check(mask, truth)
    spacing = _checked(spacing_mm)
    if not mask.any() and not truth.any():
        return BOTH_EMPTY_MM
    if not mask.any() or not truth.any():
        return worst_distance_mm(mask.shape, spacing_mm)
    from monai.metrics import compute_hausdorff_distance

    return float(
        compute_hausdorff_distance(
            *_tensors(mask, truth), include_background=True, percentile=95, spacing=spacing
        )
    )


def nsd(mask: Mask, truth: Mask, spacing_mm: Spacing, tolerance_mm: float) -> float:
    """Return the share of both outlines that lies within a tolerance of the other one, 0..1.

    The normalised surface dice. The length of an outline is its number of pixels, as in MONAI's
    default; programs that measure the length between pixels give slightly other values.

    Args:
        mask: Boolean, (rows, columns).
        truth: Same shape.
        spacing_mm: Between rows, then between columns.
        tolerance_mm: What two people drawing the same outline would differ by.

    Raises:
        InputError: As `hd95`, or the tolerance is negative.

    Source: Nikolov et al., J Med Internet Res 23:e26151 (2021); Seidlitz et al.,
    arXiv:2111.05408.

    >>> apart = np.array([[True, False, False], [False, False, True]])
    >>> nsd(apart[:1], apart[1:], (0.5, 0.25), 0.5), nsd(apart[:1], apart[1:], (0.5, 0.25), 0.4)
    (1.0, 0.0)
    """
    _check(mask, truth)
    spacing = _checked(spacing_mm)
    if not (tolerance_mm >= 0 and math.isfinite(tolerance_mm)):
        raise InputError(f"the tolerance is {tolerance_mm} mm; give 0 mm or more")
    if (empty := _empty_overlap(mask, truth)) is not None:
        return empty
    from monai.metrics import compute_surface_dice

    return float(
        compute_surface_dice(
            *_tensors(mask, truth), [tolerance_mm], include_background=True, spacing=spacing
        )
    )


def worst_distance_mm(shape: tuple[int, ...], spacing_mm: Spacing) -> float:
    """Return the diagonal of a picture: no two pixels are further apart.

    >>> worst_distance_mm((30, 40), (1.0, 1.0))
    50.0
    """
    return math.hypot(shape[0] * spacing_mm[0], shape[1] * spacing_mm[1])


def _empty_overlap(mask: Mask, truth: Mask) -> float | None:
    if mask.any() and truth.any():
        return None
    return ONE_EMPTY_OVERLAP if mask.any() or truth.any() else BOTH_EMPTY_OVERLAP


def _tensors(mask: Mask, truth: Mask) -> "tuple[Tensor, Tensor]":
    """Return both masks as MONAI wants them: float, (1, 1, rows, columns)."""
    import torch

    first, second = (torch.from_numpy(plane.astype(np.float32)) for plane in (mask, truth))
    return first[None, None], second[None, None]


def _check(mask: Mask, truth: Mask) -> None:
    for name, plane in (("mask", mask), ("reference mask", truth)):
        if plane.dtype != bool or plane.ndim != 2:
            raise InputError(
                f"the {name} is {plane.dtype} of shape {plane.shape}; "
                "give a boolean array (rows, columns)"
            )
    if mask.shape != truth.shape:
        raise InputError(
            f"the mask is {mask.shape} and its reference {truth.shape} pixels large; "
            "bring both to the image's own grid"
        )


def _checked(spacing_mm: Spacing) -> list[float]:
    if not all(step > 0 and math.isfinite(step) for step in spacing_mm):
        raise InputError(f"the spacing is {spacing_mm} mm; give two positive numbers")
    return [float(step) for step in spacing_mm]  # MONAI refuses a mix of int and float
