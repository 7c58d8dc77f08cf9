"""Which pairs a training takes so that nothing pays as such: no answer, and no distrust of reports."""

import hashlib
import json
from collections.abc import Iterable, Mapping

from overread.evals.metrics.closed import closed_option
from overread.training.examples import Pair


def balanced(pairs: Iterable[Pair]) -> list[Pair]:
    """Return pairs balanced by answer and by what they say of reports, in their order.

    Each kind prefers "yes" as often as "no", and as many pairs use reports as resist them.

    A model says yes to a noised image, so nearly all pairs that a noised image makes prefer yes; and one
    that is trained on them says yes more often, whatever the image. One that is mostly taught to resist
    reports says the opposite of right ones, too (docs/alignment.md). Which of the more frequent ones go
    is decided by a hash of their ids. Pairs of other answers, and a kind without its counterpart, stay.
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
    return _as_many_either_way([pair for pair, said in rows if not said or pair.id in kept])


def at_most(pairs: Iterable[Pair], limits: Mapping[str, int]) -> list[Pair]:
    """Return no more pairs of a kind than its limit, in their order.

    Which of them stay is decided by a hash of their ids. A kind without a limit stays whole.
    """
    pairs = list(pairs)
    gone: set[str] = set()
    for kind, limit in limits.items():
        gone |= set(sorted((pair.id for pair in pairs if pair.kind == kind), key=_order)[limit:])
    return [pair for pair in pairs if pair.id not in gone]


def _as_many_either_way(pairs: list[Pair]) -> list[Pair]:
    """Return pairs of which as many use reports as resist them, if there are any of both."""
    use, resist = (
        sorted((pair.id for pair in pairs if pair.kind == kind), key=_order)
        for kind in ("use_context", "resist_context")
    )
    fewer = min(len(use), len(resist)) or max(len(use), len(resist))
    gone = {*use[fewer:], *resist[fewer:]}
    return [pair for pair in pairs if pair.id not in gone]


def yes_or_no(reply: str) -> str:
    """Return "yes", "no" or "" for a reply, which may be a step of the agent.

    >>> yes_or_no('{"why":"-","answer":"Yes, there is a nodule [E2]."}'), yes_or_no("left")
    ('yes', '')
    """
    return closed_option(words_of(reply), ("yes", "no")) or ""


def words_of(reply: str) -> str:
    """Return the answer in a reply: of a step its answer ("" of one that calls), else the reply."""
    try:
        step = json.loads(reply)
    except ValueError:
        return reply
    return str(step.get("answer") or "") if isinstance(step, dict) else reply


def _order(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
