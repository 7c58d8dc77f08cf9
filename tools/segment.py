"""Outline a structure or finding, and say how large it is and where."""

from functools import cache
from typing import Annotated, Literal

from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, WithJsonSchema, create_model

from overread.imaging.errors import InputError
from overread.imaging.study import Image, Mask
from overread.imaging.vocabulary import TARGETS
from overread.tools import geometry, phrases
from overread.tools.base import Artifact, ToolContext, ToolResult, Value
from overread.tools.blank import is_blank
from overread.tools.border import make_tool
from overread.tools.pictures import store_mask, store_overlay, store_uncertainty
from overread.tools.places import Outline, place_of
from overread.tools.quality import quality
from overread.tools.seen_in import is_known_in
from overread.tools.segmenter import Segmenter
from overread.tools.sides import MIDLINE, has_sides, midline_of, patient_side
from overread.tools.targets import name_in

VERSION = "segment 3"

BASIS = "confidence_of"
"""Key of the value that says in words what the confidence is a confidence of."""

EXPECTED_DICE = "dice"
"""Key of the Dice that is expected of the mask, 0..1. It is text, and the key is no common word, since an
answer may use the numbers and the words of values: this tells of the tool, and of nothing in the image."""

# The enumeration guides a planner under structured decoding; names are resolved by the segmenter,
# whose refusal tells what it knows.
Target = Annotated[str, WithJsonSchema({"type": "string", "enum": list(TARGETS)})]
Pixel = Annotated[int, Field(ge=0)]
# A tuple says what the third number may be; some readers of schemas refuse arrays without `items`.
Pointed = Annotated[
    tuple[Pixel, Pixel, Literal[0, 1]],
    Field(json_schema_extra={"items": {"type": "integer", "minimum": 0}}),
]
ImageNumber = Annotated[int, Field(ge=1, description="Number of the image, from 1.")]

# What shows the patient's middle.
_OUTLINE = {"CR": "thorax", "DX": "thorax", "CT": "body", "MR": "brain"}


class SegmentArgs(BaseModel, extra="forbid"):
    """What the planner fills in; the descriptions are its prompt."""

    image: ImageNumber
    target: Target = Field(description="What to look for.")
    points: list[Pointed] = Field(
        default_factory=list,
        max_length=16,
        description="Only if the user points at places: [x, y, 1 to include or 0 to leave out].",
    )
    box: Annotated[list[Pixel], Field(min_length=4, max_length=4)] | None = Field(
        None, description="Only if the user gives a box: [left, top, right, bottom] in pixels."
    )


def arguments(names: tuple[str, ...] | None) -> type[SegmentArgs]:
    """Return what the planner fills in for a segmenter that knows other names.

    Args:
        names: As in `ToolContext`.
    """
    if names is None:
        return SegmentArgs
    told = {"type": "string"} | ({"enum": list(names)} if names else {})
    target = Annotated[str, WithJsonSchema(told)]
    about = Field(description="What to look for.")
    return create_model("SegmentArgs", __base__=SegmentArgs, target=(target, about))


def describe(
    image: Image, target: str, mask: Mask, midline: float | None, place: str | None
) -> dict[str, Value]:
    """Return the size and place of a mask as the values of a result.

    Args:
        image: What was segmented.
        target: Its name.
        mask: (rows, columns), not empty.
        midline: Column of the patient's middle; the picture's if None.
        place: As of `place_of`.
    """
    values: dict[str, Value] = {"found": True, "target": target}
    if image.spacing_mm is not None:
        values["area_mm2"] = round(geometry.area(mask, image.spacing_mm), 1)
        values["long_axis_mm"] = round(geometry.long_axis(mask, image.spacing_mm), 1)
    else:
        values["area_percent"] = round(100 * float(mask.mean()), 2)
    values["regions"] = geometry.regions(mask)
    values["picture_position"] = geometry.picture_position(mask)
    values["patient_side"] = patient_side(image, target, mask, midline)
    values["place"] = place
    return values


def outlines(segmenter: Segmenter, image: Image) -> Outline:
    """Return what gives the structures of an image by name; each is segmented once."""

    @cache
    def outline(name: str) -> Mask | None:
        if name not in segmenter.targets or not is_known_in(image.modality, [name]):
            return None
        around = segmenter.segment(image, name)
        return around.mask if around.found else None

    return outline


def find_midline(outline: Outline, image: Image, target: str) -> float | None:
    """Return the column of the patient's middle where sides matter, from the outline of the body."""
    body = _OUTLINE.get(image.modality)
    if target in MIDLINE or not has_sides(image) or body is None:
        return None
    mask = outline(body)
    return None if mask is None else midline_of(mask)


def build(context: ToolContext) -> BaseTool:
    """Make the tool."""

    def segment(
        image: int,
        target: str,
        points: list[tuple[int, int, int]] | None = None,
        box: list[int] | None = None,
    ) -> tuple[str, ToolResult]:
        picture, segmenter = context.image(image), context.segmenter()
        target = name_in(segmenter, target)
        pointed = [(x, y, bool(inside)) for x, y, inside in points or ()]
        around = (box[0], box[1], box[2], box[3]) if box else None
        segmentation = segmenter.segment(picture, target, points=pointed, box=around)
        if not segmentation.found and is_blank(picture):
            raise InputError(
                f"image {image} is blank: all its pixels are alike, so it shows nothing to look for"
            )
        values: dict[str, Value] = {"found": False, "target": target}
        artifacts: list[Artifact] = []
        if segmentation.found:
            outline = outlines(segmenter, picture)
            midline = find_midline(outline, picture, target)
            place = place_of(picture, target, segmentation.mask, outline)
            values = describe(picture, target, segmentation.mask, midline, place)
            thought = quality(segmenter, picture, segmentation, target, pointed, around)
            values[EXPECTED_DICE] = f"{thought.dice:.2f}"
            artifacts = [
                store_overlay(context.artifacts, picture, {target: segmentation.mask}),
                store_mask(context.artifacts, segmentation.mask, target),
                store_uncertainty(context.artifacts, picture, thought, target),
            ]
        if segmentation.basis:
            values[BASIS] = segmentation.basis
        confidence = round(segmentation.confidence, 2)
        result = ToolResult(
            version=f"{VERSION}, {segmenter.version}",
            image=str(picture.ref),
            values=values,
            confidence=confidence,
            artifacts=tuple(artifacts),
        )
        return phrases.segmented(image, target, values, confidence), result

    return make_tool(
        segment,
        name="segment",
        description="Find and outline a structure or finding; tells presence, size and place.",
        arguments=arguments(context.names),
    )
