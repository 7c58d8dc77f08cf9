"""Hold an answer to a question of change over time to two images; their two sizes in its place.

"Yes, there is a nodule" is true and tells nothing of whether it has grown; nor does one image.
"""

import re
from collections.abc import Sequence

from overread.agent import language
from overread.agent.changes import came_or_went, size, tells_change
from overread.agent.ledger import cited
from overread.agent.times import latest
from overread.tools.base import Evidence

# "Is the left kidney larger than the right?" compares within an image; "changes" are findings.
_ASKS = re.compile(
    r"\b(?:grown|grow(?:s|ing|th)?|shrunk(?:en)?|shrinking|regress(?:ed|ion|ing)?|"
    r"progress(?:ed|ion|ing)?|resolved|unchanged|stable|changed?|evol(?:ved|ution)|"
    r"(?:larger|bigger|smaller)(?! than (?!before|previously|earlier|in the (?:prior|earlier)))|"
    r"new|since (?:the )?(?:prior|previous|last|earlier)|"
    r"compar\w+ (?:with|to) (?:the )?(?:prior|previous|last|earlier))\b",
    re.IGNORECASE,
)


def asks(question: str) -> bool:
    """Return whether a question is about what has become of something.

    >>> asks("Has the nodule grown?"), asks("Is the left kidney larger than the right?")
    (True, False)
    """
    return _ASKS.search(question) is not None


def concerns(evidence: Sequence[Evidence], question: str) -> bool:
    """Return whether a question of change is put where there are images to compare."""
    return asks(question) and len([entry for entry in evidence if entry.tool == "intake"]) > 1


def unseen(evidence: Sequence[Evidence], question: str) -> list[int]:
    """Return the images that were not looked at for a question of change, where one was.

    Args:
        evidence: All of the session.
        question: As asked.
    """
    if not asks(question):
        return []
    images = {_image(entry) for entry in evidence if entry.tool == "intake"}
    seen = {_image(entry) for entry in evidence if entry.tool != "intake"}
    compared = any(entry.tool == "compare" for entry in evidence)
    return sorted(images - seen) if len(seen & images) == 1 and not compared else []


def unsaid(answer: str, evidence: Sequence[Evidence], question: str) -> str | None:
    """Return why what an answer claims is no answer to a question of change; None where it may be.

    To say that what is asked about is not there is one.

    Args:
        answer: What is left of it, or all of one that abstains.
        evidence: All of the session.
        question: As asked.
    """
    if not concerns(evidence, question):
        return None
    own = cited(answer, evidence)
    if not own and not told(evidence, question):
        return None
    asked = {mention.term for mention in language.mentions(question)}
    denied = any(m.negated and m.term in asked for m in language.mentions(answer))
    if own and (denied or tells_change(answer) or len({_image(entry) for entry in own}) > 1):
        return None
    left = "".join(f"; image {image} was not looked at" for image in unseen(evidence, question))
    return f"does not say what has changed{left}"


def told(evidence: Sequence[Evidence], question: str) -> list[str]:
    """Return what two images tell of the course of what is asked about, cited; none if they do not.

    Where the dates of the studies do not tell which is of now, the sizes are told without a word for
    the change. Whoever uses it verifies it.

    Args:
        evidence: All of the session.
        question: As asked.
    """
    if not asks(question):
        return []
    found = [entry for entry in reversed(evidence) if _is_about(entry, question)]
    for one in found:
        for other in found:
            if _image(other) < _image(one) and (text := _together(other, one, evidence)):
                return [text]
    return []


def _is_about(entry: Evidence, question: str) -> bool:
    target = entry.values.get("target")
    if not target or entry.tool == "intake":
        return False
    asked = {mention.term for mention in language.mentions(question)}
    return not asked or not asked.isdisjoint(m.term for m in language.mentions(str(target)))


def _together(first: Evidence, second: Evidence, evidence: Sequence[Evidence]) -> str | None:
    """Return what entries about two images tell; None if they are not about the same thing."""
    if first.values["target"] != second.values["target"]:
        return None
    is_last = latest(first, evidence)
    dated = is_last is not None and is_last != latest(second, evidence)
    now, before = (first, second) if is_last else (second, first)
    here, there = size(now), size(before)
    if here is None or there is None:
        return came_or_went(now, before) if dated else None
    if not here.compares_with(there):
        return None
    if not dated:
        places = [f"{size(e)} in image {_image(e)} [{e.id}]" for e in (first, second)]
        return f"The {here.target} measures {' and '.join(places)}."
    word, then = here.since(there).capitalize(), f"{there} before [{before.id}]"
    return f"{word}: the {here.target} measures {here} now [{now.id}] and {then}."


def _image(entry: Evidence) -> int:
    number_given = entry.arguments.get("image")
    return number_given if isinstance(number_given, int) else 0
