"""What a settled limit decides: a measurement on one side of it is a finding, or is none.

The limits are those of `overread.tools.limits`. There is nothing to judge then, unless the limit lies
within the measurement's error: a planner that says otherwise has misread a number.
"""

from collections.abc import Sequence

from overread.agent import language, polarity
from overread.agent.ledger import cited
from overread.tools.base import Evidence
from overread.tools.limits import limit_of

_DECIDED = frozenset({"cardiomegaly", "midline shift"})


def verdicts(sentence: str, evidence: Sequence[Evidence], question: str) -> list[str]:
    """Return what the measurements that a sentence cites decide of what it, or the question, is about.

    Whoever uses it verifies it.

    Args:
        sentence: With citations.
        evidence: All of the session.
        question: Asked with the finding's name, it is answered by yes or no.
    """
    asked = [m for m in language.mentions(question) if m.term.name in _DECIDED]
    said = [m for m in language.mentions(sentence) if m.term.name in _DECIDED]
    found = []
    for mention in said or asked:
        for entry in cited(sentence, evidence):
            stance = polarity.stance(entry, mention.term, of_others=False)
            if stance is None or stance.found is None or not _is_clear(entry):
                continue
            side = f" to the {min(stance.sides)}" if stance.found and len(stance.sides) == 1 else ""
            named = f"{'' if stance.found else 'no '}{mention.term.name}{side}"
            claim = f"{named} [{entry.id}]."
            if any(one.term == mention.term and not one.negated for one in asked):
                found.append(f"{'Yes' if stance.found else 'No'}, there is {claim}")
            found.append(f"There is {claim}")
    return found


def _is_clear(entry: Evidence) -> bool:
    """Whether evidence is a measurement that is further from its limit than it may be off."""
    limit = limit_of(entry.values)
    return limit is not None and limit.is_clear(entry.values)
