"""What became of findings between two series of slices: each measured where it is largest.

Only the levels that both show are looked at, so what lies beyond the end of one is not taken for gone.
"""

import math
from collections.abc import Sequence

import numpy as np

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.study import ImageRef
from overread.tools.change import Fate, Followed, follow
from overread.tools.comparison import Comparison, Outliner
from overread.tools.registration import STACKS, Registration
from overread.tools.stack import Stack
from overread.tools.stack_outlines import Side
from overread.tools.stack_registration import NO_LEVEL, register_stacks

_DOUBTED = 0.5
"""Confidence that is left of a change that the distance of the slices alone may make."""

_ORDINAL = {2: "2nd", 3: "3rd"}
_MM = (1.0, 1.0, 1.0)


def compare_stacks(
    archive: Archive,
    stacks: tuple[Stack, Stack],
    shown: ImageRef,
    targets: Sequence[str],
    outline: Outliner,
    most: int,
    captions: tuple[str, str],
    in_one_slice: bool = False,
) -> Comparison:
    """Register two stacks, outline the targets at the levels that both show, and pair what is found.

    Args:
        archive: Where the slices are.
        stacks: The later, then the earlier.
        shown: The slice of the later that was asked about.
        targets: What to follow.
        outline: Outlines a target in an image.
        most: Slices of each stack that are outlined; of more, every so many, and those near a finding.
        captions: Of the pictures of both.
        in_one_slice: Look only at the slice that was asked about and the one at its level.

    Raises:
        InputError: A series is blank, or the two share no level.
    """
    if any(stack.grey.min() == stack.grey.max() for stack in stacks):
        raise InputError("one of the two series is blank, so nothing can be compared with it")
    registration = register_stacks(*stacks)
    ways = registration.transform, registration.transform.GetInverse()
    shared = [
        _shared(stack, other, way)
        for stack, other, way in zip(stacks, stacks[::-1], ways, strict=True)
    ]
    if not all(shared):
        raise InputError(NO_LEVEL)
    now, before = (
        Side(archive, stack, levels, most) for stack, levels in zip(stacks, shared, strict=True)
    )
    at = _asked(now, shown)
    there = _matching(now, at, before, registration)
    changes: dict[str, list[Followed]] = {}
    sure, notes = 1.0, list[str]()
    if registration.likeness >= STACKS[0]:
        notes.append(_levels(now, before))
        for target in targets:
            now.look(target, outline, at if in_one_slice else None)
            before.look(target, outline, there if in_one_slice else None)
            changes[target] = _follow(now, before, target, registration)
            sure = min(sure, _sure(now, before, target, changes[target], registration))
            notes += _doubts(now, before, target, changes[target])
    at = _largest(now, changes, at)
    there = _largest(before, changes, _matching(now, at, before, registration))
    return Comparison(
        registration=registration,
        limits=STACKS,
        changes=changes,
        sure=sure,
        notes=tuple(notes),
        pictures={
            now.caption(at, captions[0]): now.picture(at),
            before.caption(there, captions[1]): before.picture(there),
        },
    )


def _shared(stack: Stack, other: Stack, way: object) -> list[int]:
    """Return the indices of the slices whose level the other stack shows, too."""
    low, high = -other.gap / 2, float(other.levels[-1]) + other.gap / 2
    levels = [
        other.level(way.TransformPoint(stack.middle(level)))  # type: ignore[attr-defined]
        for level in stack.levels
    ]
    return [index for index, level in enumerate(levels) if low <= level <= high]


def _asked(now: Side, shown: ImageRef) -> int:
    """Return the slice that was asked about, or the nearest to it that both show."""
    stack = now.stack
    at = stack.refs.index(shown) if shown in stack.refs else len(stack.refs) // 2
    return min(now.shared, key=lambda index: abs(index - at))


def _matching(now: Side, at: int, before: Side, registration: Registration) -> int:
    """Return the slice of the earlier stack at the level of one of the later."""
    point = registration.transform.TransformPoint(now.stack.middle(float(now.stack.levels[at])))
    near = before.stack.nearest(before.stack.level(point))
    return min(before.shared, key=lambda index: abs(index - near))


def _follow(now: Side, before: Side, target: str, registration: Registration) -> list[Followed]:
    old = list(before.found[target])
    back = registration.transform.GetInverse()
    moved = [back.TransformPoint(lesion.place) for lesion in old]
    return follow(list(now.found[target]), old, moved, _MM)


def _sure(
    now: Side, before: Side, target: str, followed: list[Followed], registration: Registration
) -> float:
    """Return the least confidence in what is told of a target; the usual one where it is nowhere."""
    told = []
    for one in followed:
        sides = [
            side.found[target][lesion].sure
            for side, lesion in ((now, one.now), (before, one.before))
            if lesion is not None
        ]
        if one.now is None and one.before is not None:
            there = registration.transform.GetInverse().TransformPoint(one.before.place)
            sides.append(now.sure_at(target, there))
        if one.before is None and one.now is not None:
            there = registration.transform.TransformPoint(one.now.place)
            sides.append(before.sure_at(target, there))
        told.append(min(sides) * (_DOUBTED if _by_gaps(now, before, target, one) else 1.0))
    every = [*now.sure[target].values(), *before.sure[target].values()]
    return min(told, default=float(np.median(every)))


def _by_gaps(now: Side, before: Side, target: str, one: Followed) -> bool:
    """Return whether a change may come from where the slices happen to lie.

    The middle of a ball lies at most half a gap from a slice: of a section d wide, the ball is between
    d and sqrt(d^2 + gap^2) wide.
    """
    if one.now is None or one.before is None or one.fate == "unchanged":
        return False
    sizes = {"larger": (one.now, one.before), "smaller": (one.before, one.now)}
    large, small = sizes[one.fate]
    gap = (before if one.fate == "larger" else now).found[target][small].gap
    return large.diameter <= math.hypot(small.diameter, gap)


def _doubts(now: Side, before: Side, target: str, followed: list[Followed]) -> list[str]:
    notes = []
    told: set[Fate] = {one.fate for one in followed if _by_gaps(now, before, target, one)}
    if told:
        gap = max(section.gap for side in (now, before) for section in side.found[target].values())
        notes.append(f"slices {gap:.3g} mm apart may alone make that difference in {target}")
    if any(section.is_cut for side in (now, before) for section in side.found[target].values()):
        notes.append(
            f"{target} goes on beyond the levels that both show, and is measured within them"
        )
    return notes


def _levels(now: Side, before: Side) -> str:
    """Return which slices were compared."""
    (first, last), (old_first, old_last) = (
        sorted(side.stack.numbers[side.shared[end]] for end in (0, -1)) for side in (now, before)
    )
    passed = max(now.every, before.every)
    every = (
        f", of which every {_ORDINAL.get(passed, f'{passed}th')} was outlined" if passed > 1 else ""
    )
    return (
        f"slices {first} to {last} of {len(now.stack.refs)} now and {old_first} to {old_last} of "
        f"{len(before.stack.refs)} before show the same levels{every}"
    )


def _largest(side: Side, changes: dict[str, list[Followed]], otherwise: int) -> int:
    """Return the slice of the largest finding; another where there is none."""
    found = [item for target in changes for item in side.found[target].items()]
    if not found:
        return otherwise
    return max(found, key=lambda item: item[0].diameter)[1].index
