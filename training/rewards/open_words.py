"""Open questions: words shared with the reference, or all of a list and no more."""

from overread.evals.metrics.answers import score_answer
from overread.training.examples import Example
from overread.training.rewards.reference import item_of


def open_reward(completion: str, example: Example) -> float:
    """Return the F1 of words, 0..1; with reference "parts" whether all of the list is named.

    Args:
        completion: The answer in free words.
        example: Reference: "answers".

    Raises:
        InputError: The reference has no answer.
    """
    scores = score_answer(item_of(example, "open"), completion)
    return scores.values[scores.main]
