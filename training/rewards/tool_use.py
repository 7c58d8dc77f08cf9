"""Tool use: whether the agent's session ended in a right answer that its evidence bears."""

from overread.evals.items import Item
from overread.evals.metrics.answers import score_answer
from overread.evals.metrics.support import support
from overread.training.examples import Example
from overread.training.rewards.reference import item_of
from overread.training.rewards.session import read_session


def tool_use_reward(completion: str, example: Example) -> float:
    """Return the score of the verified answer, times the share of its claims that evidence bears.

    So an answer guessed without a look at the image earns nothing even when it is right, and an
    answer half of which is invented earns half. Where the reference says that nothing can be
    answered ("abstain": true), abstaining is all that earns.

    Args:
        completion: A `SessionRecord` as JSON.
        example: Reference: as for the kind of its answer, or "abstain".

    Raises:
        InputError: The completion is no session record, or the reference has no answer.
    """
    session = read_session(completion)
    if example.reference.get("abstain"):
        return float(session.abstained)
    if session.abstained or not session.answer:
        return 0.0
    item = item_of(example, "open")
    scores = score_answer(_said(item), session.answer)
    invented = support(session.answer, session.evidence, item.question).hallucination
    return scores.values[scores.main] * (1.0 - (invented or 0.0))


def _said(item: Item) -> Item:
    """Return the item as an answer in sentences is marked: open lists by their parts."""
    if item.kind != "open" or "parts" in item.extra:
        return item
    return Item(
        id=item.id, question=item.question, images=(), answers=item.answers, kind="open",
        extra={**item.extra, "parts": True},
    )  # fmt: skip
