"""Citations: whether an answer's claims cite evidence that bears them, and nothing else."""

from overread.evals.metrics.support import support
from overread.training.examples import Example
from overread.training.rewards.reference import question_of
from overread.training.rewards.session import read_session

CITED_TASKS = frozenset({"tool_use"})
"""Tasks whose answers have evidence to cite."""


def citation_reward(completion: str, example: Example) -> float:
    """Return the F1 of citation precision and recall, 0..1.

    Citing everything costs precision, citing nothing costs recall. An answer that claims nothing
    earns nothing, unless abstaining was right.

    Args:
        completion: A `SessionRecord` as JSON.
        example: Of a task of `CITED_TASKS`.

    Raises:
        InputError: The completion is no session record.
    """
    session = read_session(completion)
    if session.abstained:
        return float(bool(example.reference.get("abstain")))
    borne = support(session.answer, session.evidence, question_of(example))
    precision, recall = borne.citation_precision, borne.citation_recall
    if not precision or not recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)
