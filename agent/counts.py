"""Hold how many are said to be there, in the image or among similar cases, against what was counted."""

import re
from collections.abc import Sequence

from overread.agent import language
from overread.agent.polarity import CASES
from overread.tools.base import Evidence

# "The most similar cases" are the nearest ones.
_MOST = re.compile(r"(?<!the )\bmost\b|\bthe majority\b", re.IGNORECASE)
_SO_MANY = re.compile(
    r"\b(\d+)(?: (?:out )?of (?:the |these )?\d+)?(?: similar)?(?: cases?)? "
    r"(?:with|are|were|had|have|show(?:ed)?) ([^,;.\d]+)"
)
_TOTAL = re.compile(r"\b(\d+)(?: similar| comparable| earlier)? cases?\b")
_SEVERAL = re.compile(
    r"\b(?:multiple|several|many|numerous|a few|various|in each (?:lung|kidney|eye))\b",
    re.IGNORECASE,
)


def miscounted(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Check how many similar cases there are, and how many of them have a finding."""
    text = language.spoken(sentence)
    for entry in own:
        counts = counted(entry)
        if not counts:
            continue
        whole = int(entry.values.get("total") or 0)
        shares = [
            (told, said)
            for told in _SO_MANY.finditer(text)
            if (said := [count for name, count in counts.items() if name in told[2]])
        ]
        total = None if shares else _TOTAL.search(text)
        if total and int(total[1]) != whole:
            return f"{total[0]} is not what {entry.id} says"
        for told, said in shares:
            if int(told[1]) not in said:
                return f"{told[0].strip()} is not what {entry.id} says"
        for name, count in counts.items() if _MOST.search(text) else ():
            if name in text and 2 * count <= whole:
                return f"{entry.id} does not say that most are {name}"
    return None


def counted(entry: Evidence) -> dict[str, int]:
    """Return how many similar cases have each label, the labels of the closest first; {} of others."""
    return {
        key.removeprefix(CASES): int(count or 0)
        for key, count in entry.values.items()
        if key.startswith(CASES)
    }


def too_many(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Check "several nodules" against how many regions the segmenter, or a count, found."""
    found = _SEVERAL.search(language.spoken(sentence))
    terms = [
        m.term for m in language.mentions(sentence) if m.term.kind == "finding" and not m.negated
    ]
    for entry in own if found else ():
        number = entry.values.get("regions")
        if entry.values.get("quantity") == "count":
            number = entry.values.get("value")
        named_ = any(term.pattern.fullmatch(str(entry.values.get("target"))) for term in terms)
        if named_ and number is not None and int(number) == 1:
            return f"{entry.id} found one"
    return None
