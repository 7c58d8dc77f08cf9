"""Measure in physical units, each value with its error: what `measure` lacks, for larger planners.

The bundled planner knows `measure` alone, whose schema and sentences are those it was trained on.
"""

import math
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, WithJsonSchema

from overread.imaging.errors import InputError
from overread.imaging.study import Spacing
from overread.imaging.vocabulary import TARGETS
from overread.tools import geometry
from overread.tools.base import Artifact, ToolContext, ToolResult, Value
from overread.tools.border import make_tool
from overread.tools.intensity import intensity, near, unit_of
from overread.tools.measure import error_of
from overread.tools.phrases import number
from overread.tools.pictures import store_outlines
from overread.tools.segment import ImageNumber, Pixel
from overread.tools.segmenter import Segmentation
from overread.tools.sides import has_sides
from overread.tools.targets import name_in
from overread.tools.uncertainty import (
    Measured,
    area_error,
    digits,
    length_error,
    ratio,
    with_error,
    within,
)
from overread.tools.volume import volume

VERSION = "quantify 3"
Quantity = Literal[
    "intensity", "diameters", "area", "volume", "distance", "midline_shift", "width_ratio",
    "height_ratio",
]  # fmt: skip
Name = Annotated[
    str | None,
    WithJsonSchema({"anyOf": [{"type": "string", "enum": list(TARGETS)}, {"type": "null"}]}),
]
Place = Annotated[list[Pixel], Field(min_length=2, max_length=2)]
_USUAL = {"heart": "thorax", "optic cup": "optic disc"}


class QuantifyArgs(BaseModel, extra="forbid"):
    """What the planner fills in; the descriptions are its prompt."""

    image: ImageNumber
    quantity: Quantity = Field(
        description="Which: intensity (Hounsfield units for CT), diameters (long and short axis), "
        "volume over the series, distance of two structures or points, ratio of two structures."
    )
    target: Name = Field(None, description="What to measure.")
    reference: Name = Field(None, description="Second structure of a distance or a ratio.")
    points: Annotated[list[Place], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Two places [x, y] in pixels, for a distance between them."
    )
    box: Annotated[list[Pixel], Field(min_length=4, max_length=4)] | None = Field(
        None, description="[left, top, right, bottom] in pixels, for the intensity in it."
    )


class _Work:
    """One call: the image, its masks so far, and what is told of them."""

    def __init__(self, context: ToolContext, image: int, args: QuantifyArgs) -> None:
        self.context, self.number, self.args = context, image, args
        self.picture = context.image(image)
        self.known = self.picture.spacing_mm is not None
        self.spacing: Spacing = self.picture.spacing_mm or geometry.PIXELS
        self.length = "mm" if self.known else "pixels"
        self.outlines: dict[str, Segmentation] = {}
        self.sure = 1.0
        self.extra: dict[str, Value] = {}

    def named(self, name: str | None, role: str = "target") -> str:
        if name is None:
            raise InputError(f"{self.args.quantity} needs a structure; give it as {role}")
        segmenter = self.context.segmenter()
        return name_in(segmenter, name)

    def outline(self, name: str) -> Segmentation:
        found = self.context.segmenter().segment(self.picture, name)
        if not found.found:
            raise InputError(f"no {name} found in image {self.number}, so it cannot be measured")
        self.outlines[name] = found
        self.sure = min(self.sure, found.confidence)
        return found

    def extent(self, name: str, axis: int) -> Measured:
        grid = length_error((self.spacing[axis], self.spacing[axis]))
        return with_error(
            self.outline(name), lambda mask: geometry.extent(mask, self.spacing)[axis], grid
        )


def build(context: ToolContext) -> BaseTool:
    """Make the tool."""

    def quantify(
        image: int,
        quantity: str,
        target: str | None = None,
        reference: str | None = None,
        points: list[list[int]] | None = None,
        box: list[int] | None = None,
    ) -> tuple[str, ToolResult]:
        given = {"target": target, "reference": reference, "points": points, "box": box}
        args = QuantifyArgs.model_validate({"image": image, "quantity": quantity} | given)
        work = _Work(context, image, args)
        measured, unit, what, told = _MEASURES[quantity](work)
        values: dict[str, Value] = {
            "quantity": quantity,
            "target": what,
            "reference": next((name for name in work.outlines if name != what), None),
            "value": _rounded(measured.value),
            "unit": unit,
            "error": digits(measured.error),
            **work.extra,
        }
        if quantity == "intensity":
            right = near(work.picture, measured)
        else:
            right = within(measured, max(work.spacing) if unit == work.length else 0.0)
        artifacts: tuple[Artifact, ...] = ()
        if work.outlines:
            artifacts = store_outlines(context.artifacts, work.picture, work.outlines)
        version = VERSION
        if work.outlines or quantity == "volume":
            version += f", {context.segmenter().version}"
        result = ToolResult(
            version=version,
            image=str(work.picture.ref),
            values=values,
            confidence=round(work.sure * right, 2),
            artifacts=artifacts,
        )
        return f"quantify {quantity} {what} in image {image}: {told}", result

    return make_tool(
        quantify,
        name="quantify",
        description="Measure in physical units with an error: diameters, volume, distance, "
        "Hounsfield units, midline shift, ratios.",
        arguments=QuantifyArgs,
    )


Found = tuple[Measured, str, str, str]
"""What was measured, its unit, of what, and the words for it."""


def _diameters(work: _Work) -> Found:
    target = work.named(work.args.target)
    found, grid = work.outline(target), length_error(work.spacing)
    long, short = (
        with_error(found, lambda mask, n=n: geometry.axes(mask, work.spacing)[n], grid)  # type: ignore[misc]
        for n in (0, 1)
    )
    work.extra = {"short_axis": _rounded(short.value), "short_axis_error": digits(short.error)}
    told = f"long axis {_said(long, work.length)}, short axis {_said(short, work.length)}"
    return long, work.length, target, told


def _area(work: _Work) -> Found:
    target = work.named(work.args.target)
    found = work.outline(target)
    grid = area_error(found.mask, work.spacing)
    area = with_error(found, lambda mask: geometry.area(mask, work.spacing), grid, "area")
    unit = "mm2" if work.known else "pixels"
    return area, unit, target, _said(area, unit)


def _volume(work: _Work) -> Found:
    target = work.named(work.args.target)
    context = work.context
    found = volume(context.archive, context.segmenter(), work.picture.ref, target)
    work.sure = found.sure
    work.extra = {"slices": found.slices, "slices_of": found.of}
    told = f"{_said(found.measured, 'ml')} in {found.slices} of {found.of} slices"
    return found.measured, "ml", target, told


def _distance(work: _Work) -> Found:
    if work.args.points:
        (x, y), (other_x, other_y) = work.args.points
        rows, columns = work.picture.shape
        if max(x, other_x) >= columns or max(y, other_y) >= rows:
            raise InputError(f"a place lies outside image {work.number} ({rows} x {columns})")
        down, across = work.spacing
        value = math.hypot((y - other_y) * down, (x - other_x) * across)
        apart = Measured(value, length_error(work.spacing))
        what = f"({x}, {y}) to ({other_x}, {other_y})"
        return apart, work.length, what, _said(apart, work.length)
    target = work.named(work.args.target)
    reference = work.named(work.args.reference, "reference")
    if target == reference:
        raise InputError(f"the distance of {target} to itself is nil; give another reference")
    found = [work.outline(target), work.outline(reference)]
    apart = Measured(
        geometry.distance(found[0].mask, found[1].mask, work.spacing),
        error_of(work.picture, "distance", target, found),
    )
    return apart, work.length, target, f"to {reference} {_said(apart, work.length)}"


def _shift(work: _Work) -> Found:
    ventricles, brain = work.outline("ventricles"), work.outline("brain")
    signed = Measured(
        geometry.midline_shift(brain.mask, ventricles.mask, work.spacing),
        error_of(work.picture, "midline_shift", "ventricles", [ventricles, brain]),
    )
    towards = None
    if has_sides(work.picture) and abs(signed.value) > signed.error:
        towards = "left" if signed.value > 0 else "right"
    work.extra = {"towards": towards}
    size = Measured(abs(signed.value), signed.error)
    told = _said(size, work.length) + (f" towards patient {towards}" if towards else "")
    return size, work.length, "ventricles", told


def _ratio(axis: int) -> Callable[[_Work], Found]:
    def of(work: _Work) -> Found:
        target = work.named(work.args.target)
        reference = work.named(work.args.reference or _USUAL.get(target), "reference")
        if target == reference:
            raise InputError(f"the ratio of {target} to itself says nothing")
        found = ratio(work.extent(target, axis), work.extent(reference, axis))
        return found, "", target, f"to {reference} {_said(found, '')}"

    return of


def _intensity(work: _Work) -> Found:
    picture = work.picture
    mask, what = np.ones(picture.shape, bool), "the whole image"
    if work.args.box:
        left, top, right, bottom = work.args.box
        if not (left <= right < picture.shape[1] and top <= bottom < picture.shape[0]):
            raise InputError(f"the box {work.args.box} does not lie in image {work.number}")
        mask = np.zeros(picture.shape, bool)
        mask[top : bottom + 1, left : right + 1] = True
        what = f"the box {work.args.box}"
    elif work.args.target is not None:
        what = work.named(work.args.target)
        mask = work.outline(what).mask
    found, unit = intensity(picture, mask), unit_of(picture)
    mean = Measured(found.mean, found.deviation / math.sqrt(found.pixels))
    work.extra = {
        "deviation": _rounded(found.deviation), "median": _rounded(found.median),
        "low": _rounded(found.low), "high": _rounded(found.high), "pixels": found.pixels,
    }  # fmt: skip
    told = (
        f"mean {_said(mean, unit)}, standard deviation {number(found.deviation)}, median "
        f"{number(found.median)}, 5th to 95th percentile {number(found.low)} to "
        f"{number(found.high)}, {found.pixels} pixels"
    )
    return mean, unit, what, told


_MEASURES: dict[str, Callable[[_Work], Found]] = {
    "intensity": _intensity,
    "diameters": _diameters,
    "area": _area,
    "volume": _volume,
    "distance": _distance,
    "midline_shift": _shift,
    "width_ratio": _ratio(1),
    "height_ratio": _ratio(0),
}


def _said(measured: Measured, unit: str) -> str:
    return f"{number(measured.value)} ± {digits(measured.error):g} {unit}".rstrip()


def _rounded(value: float) -> float:
    return round(value, 2 if abs(value) < 2 else 1)
