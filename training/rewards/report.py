"""Reports: F1 of the findings, each with its side and whether it is there."""

from overread.evals.metrics.answers import score_answer
from overread.training.examples import Example
from overread.training.rewards.reference import item_of


def report_reward(completion: str, example: Example) -> float:
    """Return the F1 of stated findings against the reference report's, 0..1.

    Args:
        completion: A report, with or without labels of its sections.
        example: Reference: "answers", the accepted reports; the best counts.

    Raises:
        InputError: The reference has no report.
    """
    return score_answer(item_of(example, "report"), completion).values["findings_f1"]
