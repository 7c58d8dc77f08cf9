"""Where an answer says that things are, held against where the tools put them."""

import re
from collections.abc import Sequence

from overread.agent import language, polarity
from overread.agent.ledger import cited
from overread.tools.base import Evidence

_POSITION = re.compile(
    r"\b(upper|lower|middle|cent(?:er|re|ral))?[ -]?(left|right)?(?: (?:part|half|side|corner))?"
    r" of the (?:picture|image)\b",
    re.IGNORECASE,
)
# Words that can only mean a place, which a tool must have given; and words that mean other things
# too, and are wrong only where a tool gave another one of them.
_PLACE = re.compile(
    r"\b(?:(?:upper|middle|lower) (?:zone|lobe)|(?:frontal|parietal|occipital|temporal) lobe|"
    r"(?:supero|infero)(?:nasal|temporal))\b",
    re.IGNORECASE,
)
_MAYBE_PLACE = re.compile(
    r"\b(?:anterior|posterior|superficial|deep|liver|left kidney|right kidney)\b", re.IGNORECASE
)


def says_place(text: str) -> bool:
    """Return whether a text says where in the picture, or in the body, something is."""
    return any(pattern.search(text) for pattern in (_POSITION, _PLACE, _MAYBE_PLACE))


def check_sides(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Check sides said without a finding ("It is on the left [E2].")."""
    said = language.sides(language.spoken(sentence))
    if not said or any(m.term.kind == "finding" for m in language.mentions(sentence)):
        return None
    known = _sides_of(own)
    if missing := sorted(said - known):
        where = ", ".join(entry.id for entry in own)
        told = f"; it says {' and '.join(sorted(known))}" if known else ""
        return f"{where} does not say {missing[0]}{told}"
    return None


def check_position(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Check "upper left of the picture" against the place that a tool gave."""
    for found in _POSITION.finditer(language.spoken(sentence)):
        words = {word.lower()[:4] for word in found.groups() if word}
        given = [place for entry in own for place in _positions(entry)]
        if words and not any(words <= place for place in given):
            where = ", ".join(entry.id for entry in own)
            return f"{where} does not place it at the {found.group().strip()}"
    return None


def _positions(entry: Evidence) -> list[set[str]]:
    """Return the places in the picture that a tool gives, as beginnings of words; a draft's, too."""
    told = [str(entry.values.get("picture_position") or "").lower().split()]
    drafted = _POSITION.finditer(str(entry.values.get("impression") or ""))
    told += [[word.lower() for word in found.groups() if word] for found in drafted]
    return [{word[:4] for word in words} for words in told if words]


def check_place(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Check a zone, lobe, organ or quadrant against the place that a tool gave."""
    if any(m.negated for m in language.mentions(sentence) if m.term.kind == "finding"):
        return None
    spoken = language.spoken(sentence)
    given = given_by(own)
    sure = {found.lower() for found in _PLACE.findall(spoken)}
    maybe = {found.lower() for found in _MAYBE_PLACE.findall(spoken)}
    wrong = sure - given
    if any(_MAYBE_PLACE.fullmatch(place) for place in given) and not maybe & given:
        wrong |= maybe
    if not wrong:
        return None
    where = ", ".join(entry.id for entry in own) or "the cited evidence"
    told = f"; it says {' and '.join(sorted(given))}" if given else ""
    return f"{where} does not say {min(wrong)}{told}"


def given_by(own: Sequence[Evidence]) -> set[str]:
    """Return the places that evidence gives; a draft gives those of its impression."""
    told = {str(entry.values["place"]) for entry in own if entry.values.get("place")}
    for entry in own:
        drafted = str(entry.values.get("impression") or "")
        for pattern in (_PLACE, _MAYBE_PLACE):
            told |= {found.lower() for found in pattern.findall(drafted)}
    return told


def _sides_of(own: Sequence[Evidence]) -> frozenset[str]:
    return frozenset(side for entry in own for side in polarity.sides_of(entry))


def mended(sentence: str, evidence: Sequence[Evidence]) -> list[str]:
    """Return a sentence with another place, or side, than the evidence it cites gives put right.

    Only where that evidence gives a single one, and where nothing is denied: "no nodule on the left"
    is not put right by another side. Whoever uses it verifies it.
    """
    denied = any(mention.negated for mention in language.mentions(sentence))
    if denied or language.lead(sentence) == "no":
        return []
    own = cited(sentence, evidence)
    given = given_by(own)
    sides = _sides_of(own)
    found = []
    if len(given) == 1:
        (place,) = given
        for pattern in (_PLACE, _MAYBE_PLACE):
            found.append(pattern.sub(lambda said: _as_written(said.group(), place), sentence))
    if len(sides) == 1:
        (side,) = sides
        found.append(_put_side(sentence, side))
    return [text for text in dict.fromkeys(found) if text != sentence]


def _put_side(sentence: str, side: str) -> str:
    """Put a side for every other one, but not in "left of the picture"."""
    kept = [(found.start(), found.end()) for found in _POSITION.finditer(sentence)]

    def put(said: re.Match[str]) -> str:
        if any(start <= said.start() < end for start, end in kept):
            return said.group()
        return _as_written(said.group(), side)

    return re.sub(r"\b(?:left|right)\b", put, sentence, flags=re.IGNORECASE)


def _as_written(said: str, meant: str) -> str:
    """Begin with a capital where what was said did."""
    return meant[:1].upper() + meant[1:] if said[:1].isupper() else meant
