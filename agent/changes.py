"""What an answer says has changed, which one image alone cannot show."""

import re
from collections.abc import Sequence

from overread.agent import language
from overread.tools.base import Evidence

_FATES = {
    "larger": r"larger|bigger|grown|grew|growing|progress(?:ed|ion|ing)",
    "smaller": r"smaller|shrunk(?:en)?|shrinking|regress(?:ed|ion|ing)",
    "unchanged": r"unchanged|stable|no (?:interval )?change",
    "new": r"new(?:ly)?",
    "resolved": r"resolved|disappeared|no longer",
}
_OTHER = r"worse(?:ned|ning)?|improved|(?:in|de)creas(?:ed|ing) in (?:size|number)|interval (?:change|growth)"
# "Larger than 5 mm" and "larger than the right kidney" compare with something in the same image.
_THAN = r"\b(?!,? than (?!before|previously|earlier|in the (?:prior|earlier)))"
_CHANGE = re.compile(rf"\b(?:{'|'.join((*_FATES.values(), _OTHER))}){_THAN}", re.IGNORECASE)
_FATE = {fate: re.compile(rf"\b(?:{text}){_THAN}", re.IGNORECASE) for fate, text in _FATES.items()}
_NOW = re.compile(r"\b(?:now|currently|today)\b[^\[]*\[(E\d+)\]", re.IGNORECASE)
_BEFORE = re.compile(r"\b(?:before|previously|earlier|prior)\b[^\[]*\[(E\d+)\]", re.IGNORECASE)
# A quarter more or less may be said to be the same size; three fifths more may not.
_MUCH = 1.6


def check(sentence: str, own: Sequence[Evidence], evidence: Sequence[Evidence]) -> str | None:
    """Check "the nodule has grown": it takes two images, and what `compare` says if that is cited.

    Args:
        sentence: Of an answer.
        own: The evidence that it cites.
        evidence: All of the session; the other image may be cited by the next sentence.
    """
    spoken = language.spoken(sentence)
    found = _CHANGE.search(spoken)
    if found is None:
        return None
    said = [fate for fate, pattern in _FATE.items() if pattern.search(spoken)]
    where = ", ".join(entry.id for entry in own)
    compared = [entry for entry in own if entry.tool == "compare"]
    if not compared:
        seen = {entry.arguments.get("image") for entry in evidence if entry.tool != "intake"}
        if len(seen) < 2:
            return f"{where} is of one image, which shows no change"
        ratio = _ratio(sentence, own)
        return f"{where} says otherwise" if ratio and not _fits(said, ratio) else None
    told = " ".join(f"{entry.content} {entry.values.get('summary', '')}" for entry in compared)
    if said and not any(_FATE[fate].search(told) for fate in said):
        return f"{where} does not say {found.group().lower()}"
    return None


def _ratio(sentence: str, own: Sequence[Evidence]) -> float | None:
    """Return now over before of "12 mm now [E2] and 10 mm before [E3]"; None if that is not said."""
    values = {}
    for name, pattern in (("now", _NOW), ("before", _BEFORE)):
        found = pattern.search(sentence)
        entry = next((one for one in own if found and one.id == found[1]), None)
        values[name] = float(entry.values.get("value") or 0) if entry else 0.0
    return values["now"] / values["before"] if values["now"] and values["before"] else None


def _fits(said: Sequence[str], ratio: float) -> bool:
    fits = {
        "larger": ratio > 1,
        "smaller": ratio < 1,
        "unchanged": 1 / _MUCH < ratio < _MUCH,
    }
    return all(fits.get(fate, True) for fate in said)
