"""Grounding: IoU of the boxes that a text names with those of the reference."""

import math
import re

from overread.evals.metrics.extract import cleaned, wrapped
from overread.evals.metrics.grounding import Box, mean_iou
from overread.imaging.errors import InputError
from overread.training.examples import Example

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_BOX = re.compile(rf"[\[(]{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}[\])]")


def boxes_in(text: str) -> list[Box]:
    """Return the boxes that a text writes as [left, top, right, bottom], in order.

    >>> boxes_in("The nodule is at [10, 20, 30.5, 40].")
    [(10.0, 20.0, 30.5, 40.0)]
    """
    inner = wrapped(text)
    found = _BOX.findall(cleaned(text if inner is None else inner))
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in found]


def grounding_reward(completion: str, example: Example) -> float:
    """Return the mean IoU of matched boxes, 0..1; boxes and references left over count as 0.

    A box without area is one that hits nothing. Where the reference has no box, none is perfect,
    but an empty text is no answer.

    Args:
        completion: Names boxes in the pixels of the planner's view.
        example: Reference: "boxes", each (left, top, right, bottom).

    Raises:
        InputError: The reference has no "boxes", or one without area.
    """
    if "boxes" not in example.reference:
        raise InputError(
            f"example '{example.id}' of '{example.dataset}' has no reference.boxes; "
            "a 'grounding' reward needs them"
        )
    truths = [_box(box) for box in example.reference["boxes"]]
    if not completion.strip():
        return 0.0
    drawn = boxes_in(completion)
    sound = [box for box in drawn if _has_area(box)]
    most = max(len(drawn), len(truths))
    if most == 0:
        return mean_iou([], [])
    return mean_iou(sound, truths) * max(len(sound), len(truths)) / most if truths else 0.0


def _box(numbers: list[float]) -> Box:
    left, top, right, bottom = (float(number) for number in numbers)
    return left, top, right, bottom


def _has_area(box: Box) -> bool:
    return all(map(math.isfinite, box)) and box[0] < box[2] and box[1] < box[3]
