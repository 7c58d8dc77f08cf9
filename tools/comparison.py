"""What a comparison of two images tells, as words and as values."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import PIL.Image

from overread.imaging.study import Image, Mask
from overread.tools.base import Value
from overread.tools.change import Followed, Lesion
from overread.tools.phrases import number
from overread.tools.registration import Limits, Registration, trust


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A mask, (rows, columns), empty where nothing was found, and how sure the segmenter is, 0..1."""

    mask: Mask
    sure: float


Outliner = Callable[[Image, str], Outline]
"""Outlines a target in an image."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What became of findings between two images, or the series that they are slices of.

    Attributes:
        registration: How the earlier lies on the later.
        limits: From which likeness on that is believed.
        changes: What became of each target; empty where the registration is not believed.
        sure: Least confidence in a mask that this rests on, 0..1.
        notes: What was compared, and what gives doubt.
        pictures: With outlines, by caption.
    """

    registration: Registration
    limits: Limits
    changes: dict[str, list[Followed]]
    sure: float
    notes: tuple[str, ...]
    pictures: dict[str, PIL.Image.Image]

    @property
    def is_believed(self) -> bool:
        """Whether the two are alike enough to tell which finding is which."""
        return self.registration.likeness >= self.limits[0]

    @property
    def confidence(self) -> float:
        """Confidence in the masks times that in the registration, 0..1."""
        return self.sure * trust(self.registration.likeness, self.limits)


def told(image: int, other: int, comparison: Comparison, same: bool) -> str:
    """Return the sentence for one comparison.

    Args:
        image: Number of the later image.
        other: Number of the earlier one.
        comparison: Of the two.
        same: Whether the files say that both are of one patient.
    """
    notes = [*comparison.notes]
    if not same:
        notes.append("the files do not say that both are of one patient")
    start = f"compare image {image} with earlier image {other}: "
    likeness = f"likeness {comparison.registration.likeness:.2f}"
    if not comparison.is_believed:
        # Words for a change are left out: an answer that used one would seem to be borne by this.
        asked = f"below {comparison.limits[0]:.2f} it cannot be told what became of a finding"
        return (
            start
            + "; ".join(["the two are hardly alike", f"{likeness}, and {asked}", *notes])
            + "."
        )
    parts = [_changed(name, found) for name, found in comparison.changes.items() if found]
    absent = [name for name, found in comparison.changes.items() if not found]
    if absent:
        parts.append(f"in neither: {', '.join(absent)}")
    return start + "; ".join([*parts, likeness, *notes]) + "."


def values(other: int, comparison: Comparison, same: bool) -> dict[str, Value]:
    """Return what one comparison tells, by name and number of the earlier image."""
    registration = comparison.registration
    told: dict[str, Value] = {
        f"likeness with {other}": round(registration.likeness, 2),
        f"shift from {other}": round(registration.shift, 1),
        f"turn from {other}": round(registration.turn, 1),
        f"scale from {other}": round(registration.scale, 3),
        f"same patient as {other}": same,
    }
    for name, followed in comparison.changes.items():
        for fate, count in Counter(one.fate for one in followed).items():
            told[f"{name} {fate} since {other}"] = count
        for place, one in enumerate((o for o in followed if o.ratio is not None), start=1):
            told[f"{name} {place} ratio since {other}"] = round(one.ratio or 1.0, 2)
    return told


def _changed(name: str, followed: list[Followed]) -> str:
    """Return the words for one kind of finding, the largest of it first."""
    said = []
    for one in followed:
        if one.now is not None and one.before is not None:
            said.append(
                f"{one.fate}, long axis {number(one.before.long_axis)} before{_where(one.before)}, "
                f"{number(one.now.long_axis)} now{_where(one.now)}, ratio {one.ratio or 1.0:.2f}"
            )
        else:
            lesion = one.now or one.before
            assert lesion is not None
            said.append(f"{one.fate}, long axis {number(lesion.long_axis)}{_where(lesion)}")
    return f"{name} {'; '.join(said)}"


def _where(lesion: Lesion) -> str:
    return "" if lesion.slice is None else f" in slice {lesion.slice}"
