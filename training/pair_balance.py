"""Equal numbers of yes and no among the better answers of pairs: no answer should pay as such."""

import hashlib
import json
from collections.abc import Iterable

from overread.evals.metrics.closed import closed_option
from overread.training.examples import Pair


def balanced(pairs: Iterable[Pair]) -> list[Pair]:
    """Return pairs of which each kind prefers "yes" as often as "no", in their order.

    A model says yes to a noised image, so nearly all pairs that a noised image makes prefer yes; and one
    that is trained on them says yes more often, whatever the image. Which of the more frequent ones go
    is decided by a hash of their ids. Pairs of other answers stay.
    """
    rows = [(pair, yes_or_no(pair.chosen)) for pair in pairs]
    kept: set[str] = set()
    for kind in {pair.kind for pair, _ in rows}:
        sides = [
            sorted(
                (pair.id for pair, said in rows if (pair.kind, said) == (kind, word)), key=_order
            )
            for word in ("yes", "no")
        ]
        fewer = min(len(side) for side in sides)
        kept |= {name for side in sides for name in side[:fewer]}
    return [pair for pair, said in rows if not said or pair.id in kept]


def yes_or_no(reply: str) -> str:
    """Return "yes", "no" or "" for a reply, which may be a step of the agent.

    >>> yes_or_no('{"why":"-","answer":"Yes, there is a nodule [E2]."}'), yes_or_no("left")
    ('yes', '')
    """
    return closed_option(words_of(reply), ("yes", "no")) or ""


def words_of(reply: str) -> str:
    """Return the answer in a reply: of a step its answer, else the reply itself."""
    try:
        step = json.loads(reply)
    except ValueError:
        return reply
    return str(step.get("answer") or reply) if isinstance(step, dict) else reply


def _order(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
