"""Reference boxes, as tables spell them, to pixels of the image."""

import json
import re
from dataclasses import replace
from typing import Any

from overread.evals.benchmarks.schema import Boxes
from overread.evals.benchmarks.spelled import spelled
from overread.evals.items import Item
from overread.evals.metrics.grounding import Box
from overread.imaging.errors import InputError

_ABSENT = ("none", "[]")


def read_boxes(found: Any, form: Boxes, size: tuple[int, int]) -> list[Box]:
    """Return boxes as (left, top, right, bottom) in pixels.

    Args:
        found: A list of four numbers, a list of such lists, either spelled as JSON, or four numbers
            a box with boxes parted by ";". "none" and an empty list say that there is none.
        form: Of the four numbers.
        size: Columns and rows of the image.

    Raises:
        InputError: It is no such list, or a box has no area or leaves the image.

    >>> read_boxes("10,20,5,5; 0,0,2,2", Boxes(form="corner-size"), (32, 32))
    [(10.0, 20.0, 15.0, 25.0), (0.0, 0.0, 2.0, 2.0)]
    """
    return [_pixels(numbers, form, size) for numbers in _groups(found)]


def with_boxes(item: Item, found: Any, form: Boxes) -> Item:
    """Return an item with its reference boxes and the size of its image, in pixels, as `extra`.

    The image is taken as it is asked: upright, of a volume its middle slice.

    Args:
        item: Of kind "boxes".
        found: As in `read_boxes`.
        form: Of the four numbers.

    Raises:
        InputError: The item has not one image, it is unreadable, or the boxes are.
    """
    from overread.evals.subjects.pictures import load_images

    if len(item.images) != 1:
        raise InputError(f"it has {len(item.images)} images; boxes are of one image")
    rows, columns = load_images(item)[0].shape
    boxes = read_boxes(found, form, (columns, rows))
    extra = {**item.extra, "boxes": boxes, "size": (columns, rows)}
    return replace(item, answers=(json.dumps(boxes),), extra=extra)


def _groups(found: Any) -> list[list[float]]:
    if isinstance(found, str):
        text = found.strip()
        if text.lower() in _ABSENT:
            return []
        found = spelled(text)
        if isinstance(found, str):
            found = [re.split(r"[,\s]+", part.strip()) for part in found.split(";") if part.strip()]
    if found is None or not isinstance(found, list):
        raise InputError("its answer holds no boxes; write [left, top, right, bottom], or none")
    if found and not any(isinstance(part, list) for part in found):
        found = [found]
    try:
        groups = [[float(number) for number in group] for group in found]
    except (TypeError, ValueError) as error:
        raise InputError(f"its boxes are not numbers: {str(found)[:100]}") from error
    if odd := next((group for group in groups if len(group) != 4), None):
        raise InputError(f"one of its boxes has {len(odd)} numbers; a box has four")
    return groups


def _pixels(numbers: list[float], form: Boxes, size: tuple[int, int]) -> Box:
    columns, rows = size if form.unit == "share" else (1, 1)
    left, top, right, bottom = numbers
    if form.form == "corner-size":
        right, bottom = left + right, top + bottom
    box = (left * columns, top * rows, right * columns, bottom * rows)
    if not (box[0] < box[2] and box[1] < box[3]):
        raise InputError(f"its box {numbers} has no area; say in [boxes] how boxes are written")
    # Shares are rounded in tables, and some count the last pixel and not its edge.
    if min(box) < -1 or box[2] > size[0] + 1 or box[3] > size[1] + 1:
        raise InputError(
            f"its box {numbers} leaves the image of {size[0]} columns and {size[1]} rows; say in "
            "[boxes] how boxes are written"
        )
    return box
