"""Measurements: how near the number is, in steps of the tolerance.

Right-or-wrong alone gives a group of near misses no direction. The evaluation's own decision is
therefore taken at several tolerances, as detection takes IoU at several thresholds (COCO's mean).
"""

from overread.evals.items import Item
from overread.evals.metrics import open_text
from overread.evals.metrics.answers import score_answer
from overread.training.examples import Example
from overread.training.rewards.reference import item_of

LADDER = (0.25, 0.5, 1.0, 2.0)
"""Multiples of the reference's tolerance; the evaluation's own is 1."""


def measurement_reward(completion: str, example: Example) -> float:
    """Return the share of the tolerances within which the number is right: 0, 1/4, ..., 1.

    Counts up to 10 are exact or wrong, as in the evaluation.

    Args:
        completion: The answer in free words; the number after "answer is", else the first one.
        example: Reference: "answers", "unit", "tolerance" (relative), "quantity".

    Raises:
        InputError: The reference is no number.
    """
    item = item_of(example, "number")
    tolerance = float(item.extra.get("tolerance", open_text.NUMBER_TOLERANCE))
    rungs = [_accuracy(item, completion, tolerance * factor) for factor in LADDER]
    return sum(rungs) / len(rungs)


def _accuracy(item: Item, completion: str, tolerance: float) -> float:
    asked = Item(
        id=item.id, question=item.question, images=(), answers=item.answers, kind="number",
        extra={**item.extra, "tolerance": tolerance},
    )  # fmt: skip
    return score_answer(asked, completion).values["accuracy"]
