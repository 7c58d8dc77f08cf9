"""What a piece of evidence says of a term: found or not, on which side, in which image."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from overread.agent import language
from overread.agent.language import Mention
from overread.agent.terms import Term
from overread.imaging.study import UNSTATED
from overread.imaging.vocabulary import DOMAINS
from overread.tools.base import Evidence
from overread.tools.limits import CARDIOTHORACIC_LIMIT, NO_SHIFT_MM, SHIFT_MM

_OTHERS = re.compile(
    r"\b(?:cases?|similar|retrieved|other patients?|neighbou?rs?|index)\b", re.IGNORECASE
)
CASES = "cases with "
"""Before the label, in the values of similar cases."""
_QUOTED = re.compile(r"<data>.*?</data>", re.DOTALL)
_VIEWS = {"pa": "frontal", "ap": "frontal", "ll": "lateral", "rl": "lateral"}
_BODY_DOMAINS = {name: name.split("-")[0] for name in DOMAINS}
_DOMAIN_MODALITIES = {
    "xray": ("CR DX",), "mr": ("MR",), "ct": ("CT",), "fundus": ("OP",),
    "ultrasound": ("US",), "histology": ("SM",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stance:
    """What evidence says of a finding.

    Attributes:
        found: True, False, or None where it is only spoken of.
        sides: Patient sides given; empty when none is.
        both: It may lie on both sides (several regions, no single side).
    """

    found: bool | None
    sides: frozenset[str] = frozenset()
    both: bool = False


def speaks_of_others(sentence: str) -> bool:
    """Return whether a sentence speaks of similar cases rather than of this image."""
    return _OTHERS.search(sentence) is not None


def is_of_cases(entry: Evidence) -> bool:
    """Return whether evidence is of similar cases, which say nothing of this image."""
    return any(key.startswith(CASES) for key in entry.values)


def concerns(entry: Evidence, image: int | None) -> bool:
    """Return whether evidence may speak of image `image` (None: of any)."""
    own = entry.arguments.get("image")
    return image is None or not isinstance(own, int) or own == image


def stance(entry: Evidence, term: Term, of_others: bool) -> Stance | None:
    """Return what evidence says of a finding; None when it says nothing.

    Args:
        entry: The evidence. Similar cases say nothing of this image.
        term: The finding.
        of_others: The claim is about similar cases.
    """
    values = entry.values
    if is_of_cases(entry):
        labels = (key.removeprefix(CASES) for key in values if key.startswith(CASES))
        named_here = any(term.pattern.search(label) for label in labels)
        quoted = term.pattern.search(entry.content) is not None
        return Stance(None) if of_others and (named_here or quoted) else None
    if "found" in values:
        return _of_segmentation(entry, term)
    if "quantity" in values:
        return _of_measurement(entry, term)
    said = [m for m in language.mentions(_own(entry)) if m.term == term]
    if not said:
        return None
    polarities = {not mention.negated for mention in said}
    around = frozenset(side for mention in said for side in mention.sides)
    return Stance(polarities.pop() if len(polarities) == 1 else None, around)


def _of_segmentation(entry: Evidence, term: Term) -> Stance | None:
    target, found = str(entry.values.get("target") or ""), bool(entry.values["found"])
    if term.name == "abnormality" and any(target in names for _, names in DOMAINS.values()):
        return Stance(found, sides_of(entry))
    if not term.pattern.fullmatch(target):
        return None
    regions = entry.values.get("regions")
    both = isinstance(regions, int) and regions > 1 and not entry.values.get("patient_side")
    return Stance(found, sides_of(entry), both)


def _of_measurement(entry: Evidence, term: Term) -> Stance | None:
    values = entry.values
    value = float(values.get("value") or 0)
    key = (values.get("quantity"), values.get("target"), values.get("reference"))
    if key == ("width_ratio", "heart", "thorax"):
        limit = {"cardiomegaly": True, "abnormality": True, "normality": False}
        if term.name in limit:
            return Stance((value > CARDIOTHORACIC_LIMIT) == limit[term.name])
    if key[0] == "midline_shift":
        if term.name not in ("midline shift", "abnormality"):
            return None
        found = None
        if values.get("unit") == "mm" and not NO_SHIFT_MM <= value < SHIFT_MM:
            found = value >= SHIFT_MM
        return Stance(found, sides_of(entry))
    return Stance(value != 0) if term.pattern.fullmatch(str(key[1] or "")) else None


def bears_on(entry: Evidence, terms: Sequence[Term], of_others: bool) -> bool:
    """Return whether evidence speaks of one of some findings and structures; `of_others` as `stance`."""
    return any(
        stance(entry, term, of_others) is not None
        if term.kind == "finding"
        else named(term, [entry])
        for term in terms
    )


def allows(stance_: Stance, said: frozenset[str]) -> bool:
    """Return whether a stance bears the sides that were said."""
    return said <= stance_.sides or (stance_.both and len(said) == 2)


def sides_of(entry: Evidence) -> frozenset[str]:
    """Return the patient sides that evidence gives, in values or in words."""
    told = {str(entry.values.get(key)) for key in ("patient_side", "towards")}
    words = language.sides(f"{entry.values.get('target') or ''} {_own(entry)}")
    return frozenset(told & {"left", "right"}) | words


def named(term: Term, own: Sequence[Evidence]) -> bool:
    """Return whether a structure is spoken of in evidence."""
    return any(
        term.pattern.search(f"{_own(entry)} {entry.values.get('target') or ''}") for entry in own
    )


def check_kind(mention: Mention, own: Sequence[Evidence]) -> str | None:
    """Check what kind of image, or of which body part, it is said to be."""
    term = mention.term
    if term.kind == "modality":
        told = {code for entry in own for code in _modalities(entry)} - {"", UNSTATED, "None"}
        if not told and mention.negated:
            return "the evidence does not say what kind of image it is"
        agrees_ = bool(told & set(term.name.split()))
    elif term.kind == "view":
        views = {str(entry.values.get("view") or "").lower() for entry in own}
        agrees_ = term.name in {_VIEWS.get(view, view) for view in views}
    else:
        parts = [str(entry.values.get("body_part") or "") for entry in own]
        parts += [_BODY_DOMAINS.get(str(entry.values.get("domain")), "") for entry in own]
        agrees_ = any(term.pattern.search(part) for part in parts) or any(
            term.pattern.search(_own(entry)) for entry in own
        )
    if agrees_ == mention.negated:
        word = "" if mention.negated else " not"
        return f"the evidence does{word} say that the image is {term.name.replace(' ', '/')}"
    return None


def _modalities(entry: Evidence) -> set[str]:
    told = {str(entry.values.get("modality") or "")}
    domain = str(entry.values.get("domain") or "").rsplit("-", 1)[-1]
    return told | {code for text in _DOMAIN_MODALITIES.get(domain, ()) for code in text.split()}


def _own(entry: Evidence) -> str:
    """Return a tool's own words, underscores as spaces, without what it quotes."""
    return _QUOTED.sub(" ", entry.content).replace("_", " ")
