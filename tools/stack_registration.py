"""Bring the stack of an earlier series onto that of a later one: which levels match, then turn and shift.

Two follow-ups seldom begin at the same level and never share a frame of reference, so the level is
searched for. Sizes are known in mm: nothing is scaled, or what grew would be made to fit.
"""

import math
from typing import Any

import numpy as np

from overread.imaging.errors import InputError
from overread.imaging.plane import normal
from overread.tools.registration import STACKS, Registration, aligned, correlation
from overread.tools.stack import Stack

_STEPS = 40
_SEARCH_EDGE = 28
"""Longest edge at which levels are tried, in voxels."""

_TRIED = 2
"""How many levels are refined: the best by the search, whose slices are not yet turned."""

_LEAST_SHARED = 1 / 4
"""Least part of the shorter stack that must lie in the longer, where positions do not tell. Stacks that
are most alike there would be more so beyond: they share no level, or too few to know which. So were all
of 16 pairs of parts of a brain that lie 5 to 25 mm apart; 16 that share half or more were laid on each
other within 1.4 mm."""

NO_LEVEL = "the two series show different levels of the body: none was found that both show"

_MOST_TURN, _MOST_SHIFT_MM = 30.0, 80.0


def register_stacks(current: Stack, prior: Stack) -> Registration:
    """Find the rigid movement that makes two stacks most alike.

    Positions are believed where both have one frame of reference; else the levels are tried one by
    one. From there mutual information over two resolutions, as for single images.

    Raises:
        InputError: The two share no level, by their positions or by what they show.
    """
    fixed, moving = current.volume(), prior.volume()
    if current.plane.frame == prior.plane.frame:
        if not _overlap(current, prior):
            raise InputError(NO_LEVEL)
        starts = [_shifted(current, prior, None)]
    else:
        starts = _by_level(current, prior, fixed, moving)
    best = _refined(fixed, moving, starts[0])
    for start in starts[1:]:
        if best.likeness >= STACKS[1]:  # believed in full: no other will do better
            break
        best = max(best, _refined(fixed, moving, start), key=lambda found: found.likeness)
    return best


def _by_level(current: Stack, prior: Stack, fixed: Any, moving: Any) -> list[Any]:
    """Return the movements along the normal at which the stacks are most alike, the best first."""
    import SimpleITK as sitk

    factor = max(1, math.ceil(max(fixed.GetSize()) / _SEARCH_EDGE))
    shrink = [min(factor, n) for n in fixed.GetSize()]
    coarse = sitk.BinShrink(fixed, [shrink[0], shrink[1], 1])
    step = fixed.GetSpacing()[2]
    half = (current.levels[-1] + prior.levels[-1]) / 2
    shifts = np.arange(-math.floor(half / step), math.floor(half / step) + 1) * step
    tried = [
        (likeness(coarse, moving, transform), transform)
        for shift in shifts
        if _shared(current, prior, shift) >= _LEAST_SHARED
        for transform in [_shifted(current, prior, float(shift))]
    ]
    scores = [score for score, _ in tried]
    if int(np.argmax(scores)) in (0, len(scores) - 1):
        raise InputError(NO_LEVEL)
    peaks = [
        tried[n]
        for n in range(1, len(scores) - 1)
        if scores[n] >= max(scores[n - 1], scores[n + 1])
    ]
    return [transform for _, transform in sorted(peaks, key=lambda one: -one[0])[:_TRIED]]


def _shared(current: Stack, prior: Stack, shift: float) -> float:
    """Return which part of the shorter stack lies in the longer, with the prior's middle moved so far."""
    lengths = current.levels[-1], prior.levels[-1]
    shared = min(lengths[0] / 2, shift + lengths[1] / 2) - max(
        -lengths[0] / 2, shift - lengths[1] / 2
    )
    return float(shared / min(lengths))


def _overlap(current: Stack, prior: Stack) -> bool:
    ends = [current.level(prior.middle(level)) for level in prior.levels[[0, -1]]]
    return max(ends) >= 0 and min(ends) <= current.levels[-1]


def _shifted(current: Stack, prior: Stack, shift: float | None) -> Any:
    """Return the movement that lays middle on middle, the prior's moved along the current's normal.

    None leaves both where their files say they are.
    """
    import SimpleITK as sitk

    start = sitk.Euler3DTransform()
    centre = np.array(current.middle(current.levels[-1] / 2))
    start.SetCenter(centre.tolist())
    if shift is not None:
        there = np.array(prior.middle(prior.levels[-1] / 2))
        start.SetTranslation((there - centre - shift * normal(current.plane)).tolist())
    return start


def _refined(fixed: Any, moving: Any, start: Any) -> Registration:
    import SimpleITK as sitk

    found = sitk.Euler3DTransform(start)
    before, after = aligned(fixed, moving, found, _STEPS, 1e-3, [2, 1], likeness)
    away = math.dist(found.GetTranslation(), start.GetTranslation())
    if after < before or _turn(found) > _MOST_TURN or away > _MOST_SHIFT_MM:
        found, after = start, before
    return Registration(
        transform=found,
        likeness=after,
        before=before,
        shift=math.hypot(*found.GetTranslation()),
        turn=_turn(found),
        scale=1.0,
    )


def _turn(transform: Any) -> float:
    """Return the angle of a rotation, in degrees."""
    trace = np.trace(np.array(transform.GetMatrix()).reshape(3, 3))
    return math.degrees(math.acos(min(max((float(trace) - 1) / 2, -1.0), 1.0)))


def likeness(fixed: Any, moving: Any, transform: Any) -> float:
    """Return the correlation of two volumes where they overlap; -1 where that is too little."""
    sizes = [
        volume.GetNumberOfPixels() * math.prod(volume.GetSpacing()) for volume in (fixed, moving)
    ]
    return correlation(fixed, moving, transform, min(sizes) / 5 / math.prod(fixed.GetSpacing()))
