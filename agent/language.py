"""Read an answer: sentences, what they speak of, with which side, number and negation."""

import re
from dataclasses import dataclass
from functools import lru_cache

from overread.agent.ledger import CITATION, spread_citations
from overread.agent.terms import TERMS, Term

_END = re.compile(r"(?<=[.!?])((?:\s*\[E\d+\])*)(?:\s+|$)|\n+")
_ABBREVIATION = re.compile(r"\b(?:approx|e\.g|i\.e|vs|ca|no|fig|dr|cf|resp)\.$", re.IGNORECASE)
_BREAK = re.compile(
    r"[;!?]|\.(?!\d)|\b(?:but|however|although|though|yet|except|whereas|while)\b|"
    r",\s+(?=(?:and\s+)?(?:an?|the|there|with|it|its|this|which|he|she)\b)",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\b(?:not|never|nor)(?: be| been| clearly)? "
    r"(?:found|seen|present|detected|visible|identified|evident|there|shown)\b(?!:)|"
    r"\b(?:is|are|was|were|be) (?:absent|excluded)\b|\bruled out\b|: (?:(?:none|absent|negative)\b|no(?=$|[.,;]))",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\b(?:no|not|without|absent|absence of|negative for|free of|lacks?|neither|nor|never|none|"
    r"excludes?|rules? out)\b|\bn't\b",
    re.IGNORECASE,
)
_LEAD = re.compile(r"^\W*(yes\b|no\b(?=\s*(?:$|[-,.:;!])|\s+there\b))[,.:;!]?\s*", re.IGNORECASE)
_PICTURE_SIDE = re.compile(
    r"(?:\b(?:in|on|at) )?(?:the )?\b(?:(?:upper|lower|middle|central|centre|center|top|bottom)[ -]?)?"
    r"(?:left|right|middle|centre|center|central|upper|lower)?(?: (?:part|half|side|corner))?"
    r" of the (?:picture|image)\b|\b(?:picture|image)[ -](?:left|right)\b",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"\b(?:bilateral(?:ly)?|both (?:sides|lungs|kidneys|eyes|hemithora\w+))\b", re.IGNORECASE
)
_SIDE = re.compile(r"\b(left|right)(?:-sided)?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mention:
    """A term in a text.

    Attributes:
        negated: It is said to be absent.
        sides: Patient sides said in the same clause ("left", "right").
        image: Number of the image named in the same clause; None if none is.
    """

    term: Term
    negated: bool
    sides: frozenset[str]
    image: int | None = None


def sentences(text: str) -> list[str]:
    """Split a text; citations after the full stop belong to the sentence before.

    >>> sentences("A nodule of 12.4 mm [E2]. No effusion. [E3] Done")
    ['A nodule of 12.4 mm [E2].', 'No effusion. [E3]', 'Done']
    """
    found, start = [], 0
    for end in _END.finditer(text):
        stop = end.end(1) if end.group(1) is not None else end.start()
        piece = text[start:stop].strip()
        if _ABBREVIATION.search(piece):
            continue
        if piece:
            found.append(piece)
        start = end.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def lead(sentence: str) -> str | None:
    """Return "yes" or "no" where a sentence begins with it as an answer.

    >>> lead("Yes, there is [E2]."), lead("No effusion is seen."), lead("No [E2].")
    ('yes', None, 'no')
    """
    found = _LEAD.match(spoken(sentence))
    return found.group(1).lower() if found else None


def spoken(sentence: str) -> str:
    """Return a sentence without its citations and without doubled space."""
    words = " ".join(CITATION.sub(" ", spread_citations(sentence)).split())
    return re.sub(r"\s+([,.:;!?])", r"\1", words)


def clauses(sentence: str) -> list[str]:
    """Split a sentence, without its yes or no, where a negation ends."""
    text = spoken(sentence)
    if lead(sentence):
        text = text[_LEAD.match(text).end() :]  # type: ignore[union-attr]
    return [clause.strip() for clause in _BREAK.split(text) if clause and clause.strip()]


def sides(text: str) -> frozenset[str]:
    """Return the patient sides in a text; "left of the picture" is none.

    >>> sorted(sides("in the left lung")), sorted(sides("upper left of the picture"))
    (['left'], [])
    """
    if _BOTH.search(text):
        return frozenset({"left", "right"})
    without_picture = _PICTURE_SIDE.sub(" ", text)
    return frozenset(side.lower() for side in _SIDE.findall(without_picture))


@lru_cache(maxsize=4096)
def mentions(text: str) -> tuple[Mention, ...]:
    """Return what a text speaks of, clause by clause, in order.

    >>> [(m.term.name, m.negated) for m in mentions("No effusion or nodule, but a mass.")]
    [('effusion', True), ('nodule', True), ('mass', False)]
    """
    return tuple(mention for clause in clauses(text) for mention in _in_clause(clause))


def _in_clause(clause: str) -> list[Mention]:
    after = list(_AFTER.finditer(clause))
    masked = clause
    for found in after:
        masked = masked[: found.start()] + "_" * len(found.group()) + masked[found.end() :]
    before = [found.start() for found in _BEFORE.finditer(masked)]
    image = re.search(r"\bimage (\d+)\b", clause, re.IGNORECASE)
    around = sides(clause)
    result = []
    for start, end, term in _located(clause):
        inside = re.search(r"\bnot\b", clause[start:end], re.IGNORECASE) is not None
        negated = (
            inside
            or any(position < start for position in before)
            or any(found.start() >= end for found in after)
        )
        number = int(image.group(1)) if image else None
        result.append(Mention(term, negated, around, number))
    return result


def _located(clause: str) -> list[tuple[int, int, Term]]:
    """Return terms with their places; of overlapping ones the longest."""
    found = [
        (match.start(), match.end(), term)
        for term in TERMS
        for match in term.pattern.finditer(clause)
    ]
    kept: list[tuple[int, int, Term]] = []
    for start, end, term in sorted(found, key=lambda item: (item[0] - item[1], item[0])):
        if all(end <= other[0] or start >= other[1] for other in kept):
            kept.append((start, end, term))
    return sorted(kept, key=lambda item: item[0])
