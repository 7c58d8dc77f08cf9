"""Measure structures: sizes, counts, ratios, distances and midline shift."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from overread.imaging.errors import InputError
from overread.imaging.study import Image, Mask
from overread.tools import geometry, phrases
from overread.tools.base import ToolContext, ToolResult, Value
from overread.tools.border import make_tool
from overread.tools.counting import count
from overread.tools.pictures import store_outlines
from overread.tools.segment import ImageNumber, Target
from overread.tools.segmenter import ErrorKind, Segmentation, Segmenter
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

VERSION = "measure 3"
Quantity = Literal[
    "area",
    "long_axis",
    "short_axis",
    "width",
    "height",
    "count",
    "width_ratio",
    "height_ratio",
    "area_ratio",
    "distance",
    "midline_shift",
]
# Objects that lie so close that one region may be several of them.
_CROWDED = frozenset({"nuclei"})
# The second structure of a ratio, where medicine has settled it.
_USUAL_REFERENCE = {
    ("width_ratio", "heart"): "thorax",
    ("height_ratio", "optic cup"): "optic disc",
    ("area_ratio", "optic cup"): "optic disc",
    ("width_ratio", "optic cup"): "optic disc",
}
_KINDS: dict[str, ErrorKind] = {
    "area": "area",
    "area_ratio": "area",
    "count": "count",
    "midline_shift": "shift",
}
_NEEDS_REFERENCE = frozenset({"width_ratio", "height_ratio", "area_ratio", "distance"})


class MeasureArgs(BaseModel, extra="forbid"):
    """What the planner fills in; the descriptions are its prompt."""

    image: ImageNumber
    target: Target = Field(description="What to measure.")
    quantity: Quantity = Field(description="Which quantity.")
    reference: Target | None = Field(
        None, description="Second structure of a ratio or distance (thorax for the heart)."
    )


def kind_of(quantity: str) -> ErrorKind:
    """Return which of a segmenter's usual errors a quantity has."""
    return _KINDS.get(quantity, "length")


def measure_masks(
    image: Image, quantity: str, target: str, mask: Mask, reference: Mask | None = None
) -> tuple[float, str]:
    """Return a quantity and its unit, from masks that are not empty.

    Lengths are in mm where the pixel spacing is known, else in pixels; areas in mm2, else in per
    cent of the picture. Ratios have no unit.

    Args:
        image: For its spacing.
        quantity: One of `Quantity`.
        target: Name of the structure.
        mask: (rows, columns) of the structure.
        reference: (rows, columns) of the second structure; the brain for the midline shift.

    Raises:
        InputError: The quantity needs a reference and there is none.
    """
    known = image.spacing_mm is not None
    spacing = image.spacing_mm or geometry.PIXELS
    length = "mm" if known else "pixels"
    if quantity == "area":
        whole = geometry.area(mask, spacing)
        return (whole, "mm2") if known else (100 * whole / mask.size, "% of the picture")
    if quantity == "count":
        return float(count(mask, touching=target in _CROWDED)), ""
    single = {
        "long_axis": lambda: geometry.long_axis(mask, spacing),
        "short_axis": lambda: geometry.axes(mask, spacing)[1],
        "height": lambda: geometry.extent(mask, spacing)[0],
        "width": lambda: geometry.extent(mask, spacing)[1],
    }
    if quantity in single:
        return single[quantity](), length
    if reference is None:
        raise InputError(f"{quantity} needs a second structure; give it as reference")
    if quantity == "distance":
        return geometry.distance(mask, reference, spacing), length
    if quantity == "midline_shift":
        return abs(geometry.midline_shift(reference, mask, spacing)), length
    (height, width), (other_height, other_width) = (
        geometry.extent(mask),
        geometry.extent(reference),
    )
    ratios = {
        "width_ratio": width / other_width,
        "height_ratio": height / other_height,
        "area_ratio": geometry.area(mask) / geometry.area(reference),
    }
    return ratios[quantity], ""


def error_of(image: Image, quantity: str, target: str, found: Sequence[Segmentation]) -> float:
    """Return how far a quantity may be off: by the outlines, each in turn, and by the pixel grid.

    Args:
        image: For its spacing.
        quantity: One of `Quantity`.
        target: Name of the structure.
        found: The structure, and the second one where the quantity has two.
    """
    masks = [one.mask for one in found]
    spacing = image.spacing_mm or geometry.PIXELS

    def varied(place: int) -> Callable[[Mask], float]:
        def of(mask: Mask) -> float:
            both = [*masks[:place], mask, *masks[place + 1 :]]
            if quantity == "midline_shift":  # with its sign: a doubt may reach across the middle
                return geometry.midline_shift(both[1], both[0], spacing)
            return measure_masks(image, quantity, target, *both)[0]

        return of

    parts = []
    for place, one in enumerate(found):
        scale = None
        if quantity == "midline_shift":
            scale = geometry.extent(masks[1], spacing)[1]
        elif quantity == "distance":  # where a border lies is told by half of a length
            scale = geometry.long_axis(masks[place], spacing) / 2
        parts.append(with_error(one, varied(place), 0.0, kind_of(quantity), scale).error)
    return math.hypot(*parts, _grid_error(image, quantity, masks))


def _grid_error(image: Image, quantity: str, masks: Sequence[Mask]) -> float:
    """Return the grid's part; nil of a count."""
    spacing = image.spacing_mm or geometry.PIXELS
    if quantity == "count":
        return 0.0
    if quantity == "area":
        part = area_error(masks[0], spacing)
        return part if image.spacing_mm else 100 * part / masks[0].size
    if quantity == "area_ratio":
        areas = [float(np.count_nonzero(mask)) for mask in masks]
        parts = [area_error(mask, geometry.PIXELS) for mask in masks]
        return _of_quotient(areas, parts)
    if quantity in ("width_ratio", "height_ratio"):
        lengths = [geometry.extent(mask)[quantity == "width_ratio"] for mask in masks]
        return _of_quotient(lengths, [length_error(geometry.PIXELS)] * 2)
    # The middle is the mean of two borders.
    return length_error(spacing) / (2 if quantity == "midline_shift" else 1)


def _of_quotient(values: Sequence[float], errors: Sequence[float]) -> float:
    first, second = (Measured(*pair) for pair in zip(values, errors, strict=True))
    return ratio(first, second).error


def build(context: ToolContext) -> BaseTool:
    """Make the tool."""

    def measure(
        image: int, target: str, quantity: str, reference: str | None = None
    ) -> tuple[str, ToolResult]:
        picture, segmenter = context.image(image), context.segmenter()
        if quantity == "midline_shift":
            target = "ventricles"
        target = name_in(segmenter, target)
        if reference is not None:
            reference = name_in(segmenter, reference)
        reference = _reference(quantity, target, reference)
        names = [target] if reference is None else [target, reference]
        found = _outlined(segmenter, picture, image, names)
        masks = {name: one.mask for name, one in found.items()}
        second = masks[reference] if reference else None
        value, unit = measure_masks(picture, quantity, target, masks[target], second)
        error = error_of(picture, quantity, target, list(found.values()))
        pixel = max(picture.spacing_mm or geometry.PIXELS) if unit in ("mm", "pixels") else 0.0
        near = within(Measured(value, error), pixel, quantity == "count")
        value = round(value, 2 if abs(value) < 2 else 1)
        values: dict[str, Value] = {
            "quantity": quantity,
            "target": target,
            "reference": reference,
            "value": int(value) if quantity == "count" else value,
            "unit": unit,
            "error": digits(error),
        }
        towards = None
        if quantity == "midline_shift" and second is not None:
            towards = values["towards"] = _towards(picture, second, masks[target])
        result = ToolResult(
            version=f"{VERSION}, {segmenter.version}",
            image=str(picture.ref),
            values=values,
            confidence=round(near * min(one.confidence for one in found.values()), 2),
            artifacts=store_outlines(context.artifacts, picture, found),
        )
        named = None if quantity == "midline_shift" else reference
        return phrases.measured(image, quantity, target, named, value, unit, towards), result

    return make_tool(
        measure,
        name="measure",
        description="Measure a structure: size, count, ratio to another, distance, midline shift.",
        arguments=MeasureArgs,
    )


def _reference(quantity: str, target: str, given: str | None) -> str | None:
    if quantity == "midline_shift":
        return "brain"
    if quantity not in _NEEDS_REFERENCE:
        return None
    reference = given or _USUAL_REFERENCE.get((quantity, target))
    if reference is None:
        raise InputError(f"{quantity} of {target} needs a second structure; give it as reference")
    if reference == target:
        raise InputError(f"{quantity} of {target} to itself says nothing; give another reference")
    return reference


def _outlined(
    segmenter: Segmenter, picture: Image, image: int, names: list[str]
) -> dict[str, Segmentation]:
    found: dict[str, Segmentation] = {}
    for name in names:
        found[name] = segmenter.segment(picture, name)
        if not found[name].found:
            raise InputError(f"no {name} found in image {image}, so it cannot be measured")
    return found


def _towards(picture: Image, brain: Mask, ventricles: Mask) -> str | None:
    """Return the patient side of the shift; None when it is nil or the orientation unknown."""
    shift = geometry.midline_shift(brain, ventricles)
    if not has_sides(picture) or shift == 0:
        return None
    return "left" if shift > 0 else "right"
