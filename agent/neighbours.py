"""Hold an answer to a request for similar cases against what was found; the tool's words in its place.

Whoever asks for similar cases wants to know what they show. A planner that has just found some and says
"Searching for similar cases", or that there is not enough evidence, withholds it.
"""

import re
from collections.abc import Sequence

from overread.agent import language
from overread.agent.counts import counted
from overread.agent.ledger import cited
from overread.agent.polarity import is_of_cases
from overread.tools import phrases
from overread.tools.base import Evidence

_CASES = r"(?:cases?|stud(?:y|ies)|images?|examinations?|patients?)"
_LIKE = r"(?:resembl\w+|looks? (?:like|alike|similar)|similar|alike|like th(?:is|e))"
_SEEKS = re.compile(
    r"\b(?:find|show|search|retrieve|list|look for|which|are there|get)\b[^.?]*\b"
    rf"(?:(?:similar|comparable) (?:\w+ )?{_CASES}|{_CASES}\b[^.?]*\b{_LIKE})\b",
    re.IGNORECASE,
)
_DENIES = re.compile(
    rf"\bno (?:similar|comparable|earlier|matching|such) {_CASES}\b", re.IGNORECASE
)


def seeks(question: str) -> bool:
    """Return whether a question asks for similar cases.

    >>> seeks("Which earlier cases resemble this image?"), seeks("Is there a nodule in this case?")
    (True, False)
    """
    return _SEEKS.search(question) is not None


def unsaid(answer: str, evidence: Sequence[Evidence], question: str) -> str | None:
    """Return why an answer to a request for similar cases is none: it names nothing that they show.

    Args:
        answer: What is left of it, or all of one that abstains.
        evidence: All of the session.
        question: As asked.
    """
    entry = _meant(answer, evidence, question)
    if entry is None:
        return None
    text = language.spoken(answer).lower()
    if any(label.lower() in text for label in counted(entry)):
        return None
    return f"does not say what the cases of {entry.id} show"


def denied(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Return what is wrong with "no similar cases were found"; only a search could bear it."""
    if not own or not _DENIES.search(language.spoken(sentence)):
        return None
    if found := [entry.id for entry in own if is_of_cases(entry)]:
        return f"{found[0]} did find similar cases"
    return f"{', '.join(entry.id for entry in own)} is of no search for cases"


def told(sentence: str, evidence: Sequence[Evidence], question: str) -> list[str]:
    """Return what similar cases show, cited, for a sentence that answers a request for them badly.

    Whoever uses it verifies it.
    """
    entry = _meant(sentence, evidence, question)
    if entry is None:
        return []
    counts = counted(entry)
    # Of equally frequent ones the closest case's, which comes first.
    label = max(counts, key=lambda name: counts[name])
    total, domain = int(entry.values["total"] or 0), str(entry.values["domain"])
    return [f"{phrases.neighbours(total, domain, label, counts[label])} [{entry.id}]."]


def _meant(text: str, evidence: Sequence[Evidence], question: str) -> Evidence | None:
    """Return the cases that a request was answered with: those cited, else those found for the image.

    Args:
        text: Of an answer.
        evidence: All of the session.
        question: As asked.
    """
    if not seeks(question):
        return None
    found = [entry for entry in cited(text, evidence) if is_of_cases(entry)]
    found = found or of_one_image(evidence)
    return found[-1] if found else None


def of_one_image(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return the cases that were found in a session of one image.

    Of several, uncited cases may be of another one than is asked about.
    """
    if len({entry.arguments.get("image") for entry in evidence}) != 1:
        return []
    return [entry for entry in evidence if is_of_cases(entry)]
