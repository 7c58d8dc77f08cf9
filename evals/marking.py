"""Which metric marks which kind of item."""

from collections.abc import Mapping
from typing import NamedTuple

from overread.evals.metrics.answers import score_answer

from overread.evals.items import Item
from overread.evals.subjects.base import Reply


class Marks(NamedTuple):
    """Scores by metric name, and the name of the one that decides."""

    values: Mapping[str, float]
    main: str


def mark(item: Item, reply: Reply) -> Marks:
    """Return what a reply is worth."""
    scores = score_answer(item, reply.text)
    return Marks(scores.values, scores.main)
