"""Closed questions: one of the options, yes or no, or a letter. Right or wrong, nothing between."""

from overread.evals.metrics.answers import score_answer
from overread.training.examples import Example
from overread.training.rewards.reference import item_of


def closed_reward(completion: str, example: Example) -> float:
    """Return 1 for the right option, 0 for another, for several, and for none.

    Args:
        completion: The answer in free words.
        example: Reference: "answers", and "options" unless it is yes or no; kind "choice" where
            the answer is a letter.

    Raises:
        InputError: The reference has no answer, or one that its options do not know.
    """
    scores = score_answer(item_of(example, "closed"), completion)
    return scores.values[scores.main]
