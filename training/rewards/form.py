"""Form: whether a completion can be read as its task wants it. Bounded, and weighted low.

A form reward pays before the content is right, so it must never be worth more than content: the
trainer refuses weights of form, citation and judge that together reach 1.
"""

from overread.evals.metrics.answers import score_answer
from overread.evals.metrics.open_text import number_in
from overread.evals.metrics.reports import sections
from overread.training.examples import Example
from overread.training.rewards.grounding import boxes_in
from overread.training.rewards.reference import item_of
from overread.training.rewards.session import read_session

SHORT_WORDS = 40
"""A direct answer in more words is not in form: the task asks for few."""


def form_reward(completion: str, example: Example) -> float:
    """Return 0..1: how well the form of a completion fits its task.

    Closed: an option can be read, in few words. Measurement: a number can be read, in few words.
    Grounding: boxes where boxes are due, and none otherwise. Report: findings and impression both
    have words. Tool use: the share of replies that were valid steps, 0 if no answer came. Open and
    other tasks: any words, but few.

    Args:
        completion: As for the task's own reward.
        example: With its reference.
    """
    if example.task == "tool_use":
        session = read_session(completion)
        return session.valid / session.replies if session.answer and session.replies else 0.0
    words = len(completion.split())
    if example.task == "report":
        return sum(bool(text) for text in sections(completion).values()) / 2
    if not 0 < words <= SHORT_WORDS:
        return 0.0
    if example.task == "closed":
        return 1.0 - score_answer(item_of(example, "closed"), completion).values["unparsed"]
    if example.task == "measurement":
        item = item_of(example, "number")
        count = item.extra.get("quantity") == "count"
        return float(number_in(completion, str(item.extra.get("unit", "")), count) is not None)
    if example.task == "grounding":
        return float(bool(boxes_in(completion)) == bool(example.reference.get("boxes")))
    return 1.0
