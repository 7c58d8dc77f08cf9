"""Compare an image with earlier ones of the same patient: what is new, gone, larger or smaller.

Which is the latest, their dates tell where the files have them; else who asks.
"""

from dataclasses import replace
from datetime import date
from typing import Annotated

import PIL.Image
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from overread.imaging.errors import InputError
from overread.imaging.render import contact_sheet
from overread.imaging.study import Image, ImageRef
from overread.imaging.vocabulary import DOMAINS, UNMASKED_FINDINGS
from overread.index.domains import domain_of
from overread.tools import comparison
from overread.tools.base import Artifact, ToolContext, ToolResult, Value
from overread.tools.border import make_tool
from overread.tools.comparable import check_kind, check_level, check_picture, check_series
from overread.tools.comparison import Outline, Outliner
from overread.tools.dates import taken
from overread.tools.picture_change import compare_pictures
from overread.tools.pictures import png
from overread.tools.quantify import Name
from overread.tools.segment import ImageNumber
from overread.tools.segmenter import Segmenter
from overread.tools.stack import stack_of
from overread.tools.stack_change import compare_stacks
from overread.tools.targets import name_in

VERSION = "compare 3"
_TILE = 384

_SLICES = 100
"""Slices that are outlined for one call, of all series together: half a minute on a slow processor."""


_LEVELS_UNKNOWN = "whether these two slices show the same level is not known"


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
        outline = _outliner(segmenter)
        in_one_slice = segmenter.any_words and not {*targets} <= {*segmenter.targets}
        most = _SLICES // (1 + len(earlier))
        pictures_of = {other: context.image(other) for other in earlier}
        for other, picture in pictures_of.items():
            check_kind(current, picture, image, other)
        slices = stack_of(context.archive, current.ref)  # reads the whole series
        told: list[str] = []
        values: dict[str, Value] = {}
        pictures: dict[str, PIL.Image.Image] = {}
        sure: list[float] = []
        for other, picture in pictures_of.items():
            captions = f"image {image}", f"image {other}, earlier"
            before = None if slices is None else stack_of(context.archive, picture.ref)
            if slices is not None and before is not None:
                check_series(slices, before, image, other)
                found = compare_stacks(
                    context.archive, (slices, before), current.ref, targets, outline, most,
                    captions, in_one_slice,
                )  # fmt: skip
            else:
                check_picture(current, image)
                check_picture(picture, other)
                check_level(current, picture, image, other)
                found = compare_pictures(current, picture, targets, outline, captions)
                series = [context.archive.series(i.ref) for i in (current, picture)]
                if any(one.slice_spacing_mm is not None for one in series):
                    found = replace(found, notes=(*found.notes, _LEVELS_UNKNOWN))
            same = _same_patient(context, current, picture)
            told.append(comparison.told(image, other, found, same))
            values |= comparison.values(other, found, same)
            if (latest := dates[image]) and (then := dates[other]):
                values[f"days since {other}"] = (latest - then).days
            pictures |= found.pictures
            sure.append(found.confidence)
        if image != asked:
            told.append(f"By the dates of the studies image {image} is the latest.")
        values["summary"] = " ".join(told)
        result = ToolResult(
            version=f"{VERSION}, {segmenter.version}",
            image=str(current.ref),
            values=values,
            confidence=round(min(sure), 2),
            artifacts=(_sheet(context, pictures),),
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


def _same_patient(context: ToolContext, current: Image, other: Image) -> bool:
    first, second = (context.archive.study(i.ref.study_id).patient_id for i in (current, other))
    return first == second


def _outliner(segmenter: Segmenter) -> Outliner:
    """Return what outlines a target in an image, once for all earlier images that it is compared with."""
    known: dict[tuple[ImageRef, str], Outline] = {}

    def outline(image: Image, target: str) -> Outline:
        if (image.ref, target) not in known:
            found = segmenter.segment(image, target)
            known[image.ref, target] = Outline(found.mask & found.found, found.confidence)
        return known[image.ref, target]

    return outline


def _sheet(context: ToolContext, pictures: dict[str, PIL.Image.Image]) -> Artifact:
    sheet = contact_sheet(list(pictures.values()), list(pictures), columns=3, tile=_TILE)
    return context.artifacts.put(png(sheet), "contact_sheet", "now and before", ".png")
