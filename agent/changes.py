"""What an answer says has changed, which one image alone cannot show.

A planner that has measured both images reads off the wrong word now and then ("Larger: 77 mm2 now and
175 mm2 before"); there is nothing to judge between two numbers, so the right word can be put there. Nor
does it know which image is the later one, where dates do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from overread.agent import language
from overread.agent.ledger import cited
from overread.agent.times import latest
from overread.tools import phrases
from overread.tools.base import Evidence
from overread.tools.change import fate

_FATES = {
    "larger": r"larger|bigger|grown|grew|growing|progress(?:ed|ion|ing)",
    "smaller": r"smaller|shrunk(?:en)?|shrinking|regress(?:ed|ion|ing)",
    "unchanged": r"unchanged|stable|no (?:interval )?change",
    "new": r"new(?:ly)?",
    "resolved": r"resolved|disappeared|no longer",
}
_SIZES = ("larger", "smaller", "unchanged")
_OTHER = r"worse(?:ned|ning)?|improved|(?:in|de)creas(?:ed|ing) in (?:size|number)|interval (?:change|growth)"
# "Larger than 5 mm" and "larger than the right kidney" compare with something in the same image.
_THAN = r"\b(?!,? than (?!before|previously|earlier|in the (?:prior|earlier)))"
_CHANGE = re.compile(rf"\b(?:{'|'.join((*_FATES.values(), _OTHER))}){_THAN}", re.IGNORECASE)
_FATE = {fate: re.compile(rf"\b(?:{text}){_THAN}", re.IGNORECASE) for fate, text in _FATES.items()}
_NOW = re.compile(r"\b(?:now|currently|today)\b[^\[]*\[(E\d+)\]", re.IGNORECASE)
_BEFORE = re.compile(r"\b(?:before|previously|earlier|prior)\b[^\[]*\[(E\d+)\]", re.IGNORECASE)
_TIME = re.compile(
    r"\b(?:(?P<now>now|currently|today)|before|previously|earlier)(?=\s*\[E\d+\])", re.IGNORECASE
)
_IT = re.compile(r"\bit (?:was|is) (not )?(?:seen|found|visible|there)\b", re.IGNORECASE)
_TO_DIAMETER = {"area": 1 / 2, "volume": 1 / 3}
"""Power that makes a ratio of quantities one of diameters, which `compare` judges by."""


def check(sentence: str, own: Sequence[Evidence], evidence: Sequence[Evidence]) -> str | None:
    """Check "the nodule has grown": it takes two images, and what `compare` says if that is cited.

    Args:
        sentence: Of an answer.
        own: The evidence that it cites.
        evidence: All of the session; the other image may be cited by the next sentence.
    """
    spoken = language.spoken(sentence)
    if reason := _check_it(spoken, own) or _check_times(sentence, own, evidence):
        return reason
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
        right = _right(sentence, own)
        return f"{where} says otherwise" if right and {*said} & {*_SIZES} - {right} else None
    told = " ".join(f"{entry.content} {entry.values.get('summary', '')}" for entry in compared)
    if said and not any(_FATE[fate].search(told) for fate in said):
        return f"{where} does not say {found.group().lower()}"
    return None


def _check_it(spoken: str, own: Sequence[Evidence]) -> str | None:
    """Check "It was seen before [E4]", whose "it" no list of terms reads; of several, which is not known."""
    found = _IT.search(spoken)
    if found is None or len(own) != 1 or not own[0].values.get("target"):
        return None
    there, denied = _is_there(own[0]), bool(found[1])
    return f"{own[0].id} did {'' if there else 'not '}find it" if there == denied else None


def _check_times(
    sentence: str, own: Sequence[Evidence], evidence: Sequence[Evidence]
) -> str | None:
    """Check what is said to be of now, or of before, by the dates of the studies."""
    now, before = (_of_time(pattern, sentence, own) for pattern in (_NOW, _BEFORE))
    if now is not None and latest(now, evidence) is False:
        return f"{now.id} is of an earlier image, by the dates of the studies"
    if before is not None and latest(before, evidence):
        return f"{before.id} is of the latest image, by the dates of the studies"
    return None


def mended(sentence: str, evidence: Sequence[Evidence]) -> list[str]:
    """Return a sentence that tells a wrong change, put right by the evidence that it cites.

    Only where it says itself which evidence is of now, or of before; which is wrong where dates say
    otherwise. Whoever uses it verifies it.
    """
    own = cited(sentence, evidence)
    turned = []
    if _check_times(sentence, own, evidence):
        sentence = _TIME.sub(lambda found: "before" if found["now"] else "now", sentence)
        turned = [sentence]
    right = _right(sentence, own)
    words = list(_CHANGE.finditer(sentence))
    if right and len(words) == 1:
        start, end = words[0].span()
        word = right.capitalize() if sentence[start].isupper() else right
        return [f"{sentence[:start]}{word}{sentence[end:]}"]
    found = _at_one_time(sentence, own, evidence)
    return [found] if found else turned


def tells_change(text: str) -> bool:
    """Return whether a text says that something changed, or did not."""
    return _CHANGE.search(language.spoken(text)) is not None


@dataclass(frozen=True, slots=True)
class Size:
    """How large something is in one image: what was measured of what, how much, and in which unit."""

    quantity: str
    target: str
    reference: str | None
    unit: str
    value: float

    def __str__(self) -> str:
        """Return the amount as the tools write it: "316.5 mm2"."""
        return f"{phrases.number(self.value)} {self.unit}".strip()

    def compares_with(self, other: "Size") -> bool:
        """Whether both are the same quantity of the same thing."""
        return replace(self, value=0.0) == replace(other, value=0.0)

    def since(self, before: "Size") -> str:
        """Return what became of it: "larger", "smaller" or "unchanged"."""
        power = _TO_DIAMETER.get(self.quantity, 1.0)
        return fate((self.value / before.value) ** power)


def size(entry: Evidence) -> Size | None:
    """Return the size that an entry tells of its target; None where it found or measured none."""
    told = entry.values
    target, area, value = told.get("target"), told.get("area_mm2"), told.get("value")
    if isinstance(area, float | int) and target and area > 0:
        return Size("area", str(target), None, "mm2", float(area))
    if not told.get("quantity") or not isinstance(value, float | int) or value <= 0:
        return None
    reference = told.get("reference")
    return Size(
        str(told["quantity"]),
        str(target),
        None if reference is None else str(reference),
        str(told.get("unit") or ""),
        float(value),
    )


def _right(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Return the change that "12 mm now [E2] and 10 mm before [E3]" comes to; None if that is not said."""
    now, before = (_of_time(pattern, sentence, own) for pattern in (_NOW, _BEFORE))
    here, there = (size(entry) if entry else None for entry in (now, before))
    return here.since(there) if here and there and here.compares_with(there) else None


def _at_one_time(
    sentence: str, own: Sequence[Evidence], evidence: Sequence[Evidence]
) -> str | None:
    """Return "new" or "resolved" where a target was found at one of two times; None elsewhere."""
    now, before = (_of_time(pattern, sentence, own) for pattern in (_NOW, _BEFORE))
    known = now or before
    if known is None or not known.values.get("target"):
        return None
    others = [
        entry
        for entry in evidence
        if entry.values.get("target") == known.values["target"]
        and entry.arguments.get("image") != known.arguments.get("image")
    ]
    if others:
        now, before = now or others[-1], before or others[-1]
    return came_or_went(now, before) if now is not None and before is not None else None


def came_or_went(now: Evidence, before: Evidence) -> str | None:
    """Return the sentences for a target that was found at one of two times; None if at both or none."""
    if _is_there(now) == _is_there(before):
        return None
    tell = phrases.came if _is_there(now) else phrases.went
    return tell(str(now.values["target"]), now.id, before.id)


def _of_time(pattern: re.Pattern[str], sentence: str, own: Sequence[Evidence]) -> Evidence | None:
    found = pattern.search(sentence)
    return next((entry for entry in own if found and entry.id == found[1]), None)


def _is_there(entry: Evidence) -> bool:
    return bool(entry.values.get("found", entry.values.get("value")))
