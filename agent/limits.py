"""What a settled limit decides: a measurement on one side of it is a finding, or is none.

The heart is enlarged where it is wider than half of the thorax; the midline is shifted from 5 mm on
(`polarity`). There is nothing to judge then: a planner that says otherwise has misread a number.
"""

from collections.abc import Sequence

from overread.agent import language, polarity
from overread.agent.ledger import cited
from overread.tools.base import Evidence

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
            if "quantity" not in entry.values or stance is None or stance.found is None:
                continue
            claim = f"there is {'' if stance.found else 'no '}{mention.term.name} [{entry.id}]."
            if any(one.term == mention.term and not one.negated for one in asked):
                found.append(f"{'Yes' if stance.found else 'No'}, {claim}")
            found.append(claim.capitalize().replace("[e", "[E"))
    return found
