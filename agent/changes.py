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
    where = ", ".join(entry.id for entry in own)
    compared = [entry for entry in own if entry.tool == "compare"]
    if not compared:
        seen = {entry.arguments.get("image") for entry in evidence if entry.tool != "intake"}
        return None if len(seen) > 1 else f"{where} is of one image, which shows no change"
    told = " ".join(f"{entry.content} {entry.values.get('summary', '')}" for entry in compared)
    said = [fate for fate, pattern in _FATE.items() if pattern.search(spoken)]
    if said and not any(_FATE[fate].search(told) for fate in said):
        return f"{where} does not say {found.group().lower()}"
    return None
