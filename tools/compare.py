"""Compare an image with earlier ones of the same patient: what is new, gone, larger or smaller.

Which is the latest, their dates tell where the files have them; else who asks.
"""

from collections import Counter
from dataclasses import replace
from datetime import date
from typing import Annotated

import PIL.Image
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from overread.imaging.errors import InputError
from overread.imaging.loose import EIGHT_BIT_WINDOW
from overread.imaging.render import contact_sheet, overlay
from overread.imaging.study import Image, Mask
from overread.imaging.vocabulary import DOMAINS, UNMASKED_FINDINGS
from overread.index.domains import domain_of
from overread.tools import geometry
from overread.tools.base import Artifact, ToolContext, ToolResult, Value
from overread.tools.border import make_tool
from overread.tools.change import Followed, Lesion, follow, lesions
from overread.tools.dates import taken
from overread.tools.phrases import number
from overread.tools.pictures import png
from overread.tools.quantify import Name
from overread.tools.registration import Registration, onto, register, shown_onto
from overread.tools.segment import ImageNumber
from overread.tools.targets import name_in

VERSION = "compare 2"
_TILE = 384
_UNLIKE = 0.3
"""Correlation below which two images are not held to show the same."""


class CompareArgs(BaseModel, extra="forbid"):
    """What the planner fills in; the descriptions are its prompt."""

    image: ImageNumber
    prior: int = Field(ge=1, description="Number of the earlier image to compare with.")
    more: list[Annotated[int, Field(ge=1)]] = Field(
        default_factory=list, max_length=3, description="Numbers of further earlier images."
    )
    target: Name = Field(None, description="Finding to follow; all known ones if absent.")


def build(context: ToolContext) -> BaseTool:
    """Make the tool."""

    def compare(
        image: int, prior: int, more: list[int] | None = None, target: str | None = None
    ) -> tuple[str, ToolResult]:
        earlier = list(dict.fromkeys([prior, *(more or ())]))
        if image in earlier:
            raise InputError(f"image {image} cannot be compared with itself; give an earlier one")
        dates = _dates(context, [image, *earlier])
        asked, image = image, max(dates, key=lambda number: dates[number] or date.min)
        earlier = [number for number in dates if number != image]
        current = context.image(image)
        segmenter = context.segmenter()
        targets = [name_in(segmenter, target)] if target else _findings(current)
        told: list[str] = []
        values: dict[str, Value] = {}
        tiles, captions = [_outlined(context, current, targets)], [f"image {image}"]
        sure = 1.0
        for other in earlier:
            picture = context.image(other)
            _check_same_kind(current, picture, image, other)
            registration = register(current, picture)
            same = _same_patient(context, current, picture)
            changes = {}
            for name in targets:
                followed, confidence = _follow(context, current, picture, name, registration)
                changes[name] = followed
                sure = min(sure, confidence)
            told.append(_told(image, other, registration, changes, same))
            values |= _values(other, registration, changes, same)
            if (latest := dates[image]) and (before := dates[other]):
                values[f"days since {other}"] = (latest - before).days
            tiles.append(_outlined(context, picture, targets, current, registration))
            captions.append(f"image {other}, earlier")
        if image != asked:
            told.append(f"By the dates of the studies image {image} is the latest.")
        values["summary"] = " ".join(told)
        result = ToolResult(
            version=f"{VERSION}, {segmenter.version}",
            image=str(current.ref),
            values=values,
            confidence=round(sure, 2),
            artifacts=(_sheet(context, tiles, captions),),
        )
        return " ".join(told), result

    return make_tool(
        compare,
        name="compare",
        description="Compare an image with up to four earlier ones: registers them and tells which "
        "findings are new, resolved, larger, smaller or unchanged.",
        arguments=CompareArgs,
    )


def _dates(context: ToolContext, numbers: list[int]) -> dict[int, date | None]:
    """Return when images were taken, by number; all None unless one patient's files tell it of each."""
    studies = {n: context.archive.study(context.ref(n).study_id) for n in numbers}
    told = {n: taken(study.header) for n, study in studies.items()}
    if len({study.patient_id for study in studies.values()}) > 1 or None in told.values():
        return dict.fromkeys(numbers)
    return told


def _findings(image: Image) -> list[str]:
    domain = domain_of(image.modality, image.body_part)
    if domain not in DOMAINS:
        raise InputError(
            f"it is not known what to follow in {image.modality} of {image.body_part or 'a body'}; "
            "give a target"
        )
    found = [name for name in DOMAINS[domain][1] if name not in UNMASKED_FINDINGS]
    if not found:
        raise InputError(f"no finding of {domain} can be outlined; give a target")
    return found


def _check_same_kind(current: Image, other: Image, number: int, earlier: int) -> None:
    if current.modality != other.modality or current.is_colour != other.is_colour:
        raise InputError(
            f"image {number} is {current.modality} and image {earlier} is {other.modality}; "
            "only images of one kind are compared"
        )
    if (current.spacing_mm is None) != (other.spacing_mm is None):
        raise InputError(
            f"the pixel size of only one of the images {number} and {earlier} is known, so sizes "
            "cannot be compared"
        )


def _same_patient(context: ToolContext, current: Image, other: Image) -> bool:
    first, second = (context.archive.study(i.ref.study_id).patient_id for i in (current, other))
    return first == second


def _follow(
    context: ToolContext, current: Image, prior: Image, target: str, registration: Registration
) -> tuple[list[Followed], float]:
    segmenter = context.segmenter()
    now, before = segmenter.segment(current, target), segmenter.segment(prior, target)
    old = lesions(before.mask, prior.spacing_mm or geometry.PIXELS)
    spacing = current.spacing_mm or geometry.PIXELS
    moved = [_moved(registration, lesion, prior, current) for lesion in old]
    followed = follow(lesions(now.mask, spacing), old, moved, spacing)
    return followed, min(now.confidence, before.confidence)


def _moved(
    registration: Registration, lesion: Lesion, prior: Image, current: Image
) -> tuple[float, float]:
    """Return where a place of the earlier image lies in the later one, (row, column)."""
    down, across = prior.spacing_mm or geometry.PIXELS
    here_down, here_across = current.spacing_mm or geometry.PIXELS
    point = (lesion.place[1] * across, lesion.place[0] * down)
    x, y = registration.transform.GetInverse().TransformPoint(point)
    return y / here_down, x / here_across


def _told(
    image: int,
    other: int,
    registration: Registration,
    changes: dict[str, list[Followed]],
    same: bool,
) -> str:
    parts = [_changed(name, followed) for name, followed in changes.items() if followed]
    absent = [name for name, followed in changes.items() if not followed]
    if absent:
        parts.append(f"in neither: {', '.join(absent)}")
    doubt = [] if same else ["the files do not say that both are of one patient"]
    if registration.likeness < _UNLIKE:
        doubt.append("the images are hardly alike")
    notes = f"; {'; '.join(doubt)}" if doubt else ""
    return (
        f"compare image {image} with earlier image {other}: {'; '.join(parts)}; "
        f"likeness {registration.likeness:.2f}{notes}."
    )


def _changed(name: str, followed: list[Followed]) -> str:
    """Return the words for one kind of finding, the largest of it first."""
    said = []
    for one in followed:
        if one.now is not None and one.before is not None:
            ratio = one.ratio or 1.0
            said.append(
                f"{one.fate}, long axis {number(one.before.long_axis)} before, "
                f"{number(one.now.long_axis)} now, ratio {ratio:.2f}"
            )
        else:
            lesion = one.now or one.before
            assert lesion is not None
            said.append(f"{one.fate}, long axis {number(lesion.long_axis)}")
    return f"{name} {'; '.join(said)}"


def _values(
    other: int, registration: Registration, changes: dict[str, list[Followed]], same: bool
) -> dict[str, Value]:
    values: dict[str, Value] = {
        f"likeness with {other}": round(registration.likeness, 2),
        f"shift from {other}": round(registration.shift, 1),
        f"turn from {other}": round(registration.turn, 1),
        f"scale from {other}": round(registration.scale, 3),
        f"same patient as {other}": same,
    }
    for name, followed in changes.items():
        for fate, count in Counter(one.fate for one in followed).items():
            values[f"{name} {fate} since {other}"] = count
        for place, one in enumerate((o for o in followed if o.ratio is not None), start=1):
            values[f"{name} {place} ratio since {other}"] = round(one.ratio or 1.0, 2)
    return values


def _outlined(
    context: ToolContext,
    image: Image,
    targets: list[str],
    current: Image | None = None,
    registration: Registration | None = None,
) -> PIL.Image.Image:
    """Return an image with its outlines; an earlier one as it lies on the current."""
    masks: dict[str, Mask] = {}
    for name in targets:
        found = context.segmenter().segment(image, name)
        if found.found:
            masks[name] = found.mask
    if current is None or registration is None:
        return overlay(image, masks)
    pixels = shown_onto(registration, image, current)
    shown = replace(current, pixels=pixels, window=EIGHT_BIT_WINDOW, inverted=False)
    return overlay(
        shown, {name: onto(registration, mask, image, current) for name, mask in masks.items()}
    )


def _sheet(context: ToolContext, tiles: list[PIL.Image.Image], captions: list[str]) -> Artifact:
    picture = contact_sheet(tiles, captions, columns=3, tile=_TILE)
    return context.artifacts.put(png(picture), "contact_sheet", "now and before", ".png")
