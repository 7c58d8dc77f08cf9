"""Bring an earlier image onto a later one: shift, turn and scale, by SimpleITK."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.imaging.render import to_view
from overread.imaging.study import Image, Mask, Spacing

_EDGE = 192
"""Longest edge at which images are registered, in pixels."""

_BINS, _STEPS = 32, 120
_PLAUSIBLE_SCALE = (0.7, 1.4)

Likeness = Callable[[Any, Any, Any], float]
"""How alike two SimpleITK images are under a transform, -1..1."""

Limits = tuple[float, float]
"""The likeness below which a registration is not believed, and that from which it is in full."""

PICTURES: Limits = (0.65, 0.9)
"""Measured on phantoms of seven domains, six pairs each: two visits of one patient 0.78 to 0.998 (all
but ultrasound from 0.90 on); two patients -0.08 to 0.96, by how alike the bodies are; blank, noise or one
pixel at most 0.01; two domains at most 0.63 (chest and abdomen in CT)."""

STACKS: Limits = (0.65, 0.95)
"""Measured on a template of the brain (MNI), cut into series of 40 to 70 mm with slices 1 to 5 mm apart,
turned by up to 8 degrees and shifted, with noise: of 16 pairs that share half or more 0.989 to 0.996. The
lower limit is that of pictures: where next to nothing but what grew is seen, likeness is low for that."""


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """How an earlier image lies on a later one.

    Attributes:
        transform: From points of the later image to points of the earlier, in the unit of the
            spacings (SimpleITK's sense).
        likeness: Correlation of the two after it; before: with centres alone aligned.
        shift: In mm, or pixels of the later image where a spacing is unknown. turn: In degrees.
        scale: Length in the earlier image to length in the later.
    """

    transform: Any
    likeness: float
    before: float
    shift: float
    turn: float
    scale: float


def trust(likeness: float, limits: Limits) -> float:
    """Return how far a registration is to be believed, 0..1: at the lower limit one half, below not.

    >>> trust(0.5, (0.6, 0.9)), trust(0.6, (0.6, 0.9)), trust(0.95, (0.6, 0.9))
    (0.0, 0.5, 1.0)
    """
    low, high = limits
    return 0.0 if likeness < low else min(1.0, 0.5 + 0.5 * (likeness - low) / (high - low))


def spacings(current: Image, prior: Image) -> tuple[Spacing, Spacing]:
    """Return the spacings of two images in one unit.

    In mm where both are known; else in pixels of the later image, as if both pictures were of one size:
    what is left of a difference in scale, registration finds.
    """
    if current.spacing_mm is not None and prior.spacing_mm is not None:
        return current.spacing_mm, prior.spacing_mm
    step = max(current.shape) / max(prior.shape)
    return (1.0, 1.0), (step, step)


def register(current: Image, prior: Image) -> Registration:
    """Find the similarity transform that makes two images most alike.

    Mutual information over three resolutions, which asks for no equal grey values. A result that is
    less alike than centres alone, or of an implausible scale, is not used: the centres are.

    Source: Mattes et al., PET-CT image registration in the chest using free-form deformations,
    IEEE TMI 22:120 (2003) for the metric.
    """
    import SimpleITK as sitk

    here, there = spacings(current, prior)
    fixed, moving = _picture(current, here), _picture(prior, there)
    centred = sitk.Similarity2DTransform(
        sitk.CenteredTransformInitializer(
            fixed, moving, sitk.Similarity2DTransform(),
            sitk.CenteredTransformInitializerFilter.GEOMETRY,
        )
    )  # fmt: skip
    found = sitk.Similarity2DTransform(centred)
    before, after = aligned(fixed, moving, found, _STEPS, 1e-4, [4, 2, 1], _likeness)
    low, high = _PLAUSIBLE_SCALE
    if after < before or not low < found.GetScale() < high:
        found, after = centred, before
    return Registration(
        transform=found,
        likeness=after,
        before=before,
        shift=math.hypot(*found.GetTranslation()),
        turn=math.degrees(found.GetAngle()),
        scale=found.GetScale(),
    )


def aligned(
    fixed: Any,
    moving: Any,
    transform: Any,
    steps: int,
    least_step: float,
    shrink: list[int],
    likeness: Likeness,
) -> tuple[float, float]:
    """Move a transform to where two SimpleITK images share most, by mutual information.

    Args:
        fixed: The later image.
        moving: The earlier one.
        transform: Where to begin; changed in place.
        steps: Most steps at each resolution.
        least_step: At which it ends, in the unit of the transform.
        shrink: By how much the images are made smaller, resolution by resolution.
        likeness: Of the two under a transform.

    Returns:
        The likeness before and after; -1 after where there was nothing to follow.
    """
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(1)  # sums in one order: the same images give the same transform
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=least_step, numberOfIterations=steps, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([factor // 2 for factor in shrink])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(False)
    method.SetInitialTransform(transform, inPlace=True)
    before = likeness(fixed, moving, transform)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # they share no structure that could be followed
        return before, -1.0
    return before, likeness(fixed, moving, transform)


def correlation(fixed: Any, moving: Any, transform: Any, least: float) -> float:
    """Return the correlation of two images where the moved one covers the other.

    Args:
        fixed: The later image.
        moving: The earlier one, >= 0.
        transform: Between them.
        least: Pixels that must be covered; the answer is -1 where fewer are.
    """
    import SimpleITK as sitk

    moved = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, -1.0))
    there = sitk.GetArrayFromImage(fixed)
    covered = moved >= 0
    if np.count_nonzero(covered) < least:
        return -1.0
    first, second = there[covered], moved[covered]
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def onto(registration: Registration, mask: Mask, prior: Image, current: Image) -> Mask:
    """Return a mask of the earlier image on the grid of the later one, (rows, columns)."""
    import SimpleITK as sitk

    here, there = spacings(current, prior)
    moved = sitk.Resample(
        _grid(mask.astype(np.float32), there),
        _grid(np.zeros(current.shape, np.float32), here),
        registration.transform,
        sitk.sitkLinear,
        0.0,
    )
    return np.asarray(sitk.GetArrayFromImage(moved) >= 0.5)


def shown_onto(registration: Registration, prior: Image, current: Image) -> NDArray[np.float32]:
    """Return the earlier image as it is seen, on the grid of the later one: 0..255."""
    import SimpleITK as sitk

    here, there = spacings(current, prior)
    moved = sitk.Resample(
        _grid(_grey(prior), there),
        _grid(np.zeros(current.shape, np.float32), here),
        registration.transform,
        sitk.sitkLinear,
        0.0,
    )
    return np.asarray(sitk.GetArrayFromImage(moved), np.float32)


def _grey(image: Image) -> NDArray[np.float32]:
    return to_view(image).mean(axis=2, dtype=np.float32)


def _grid(array: NDArray[np.float32], spacing: Spacing) -> Any:
    """Return a SimpleITK image; its spacing is across, then down."""
    import SimpleITK as sitk

    grid = sitk.GetImageFromArray(array)
    grid.SetSpacing((spacing[1], spacing[0]))
    return grid


def _picture(image: Image, spacing: Spacing) -> Any:
    """Return the image as it is seen, made smaller."""
    import SimpleITK as sitk

    grid = _grid(_grey(image), spacing)
    factor = max(1, round(max(image.shape) / _EDGE))
    return sitk.BinShrink(grid, (factor, factor)) if factor > 1 else grid


def _likeness(fixed: Any, moving: Any, transform: Any) -> float:
    """Return the correlation where the moved image covers the fixed one."""
    return correlation(fixed, moving, transform, fixed.GetNumberOfPixels() / 4)
