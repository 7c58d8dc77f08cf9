"""Compose a structured draft report from evidence. Pure text: knows no models and no files."""

from collections.abc import Sequence
from dataclasses import dataclass

from overread.imaging.study import Image
from overread.imaging.vocabulary import DOMAINS
from overread.tools.base import Evidence
from overread.tools.phrases import number

BANNER = (
    "> **DRAFT - research use only.** Written by a program, not checked by a physician, "
    "not a medical device."
)
# Width of the heart over width of the thorax in a frontal radiograph, above which it is enlarged.
# Source: Danzer, The cardiothoracic ratio, Am J Med Sci 157:513 (1919).
CARDIOTHORACIC_LIMIT = 0.5

_REGIONS: dict[str, tuple[str, ...]] = {
    "Lungs and pleura": (
        "left lung", "right lung", "nodule", "effusion", "pneumothorax", "consolidation",
    ),
    "Heart and chest": ("heart", "thorax", "cardiomegaly"),
    "Brain": ("brain", "ventricles", "lesion", "midline shift"),
    "Abdomen": ("liver", "spleen", "left kidney", "right kidney", "body", "cyst"),
    "Eye": ("optic disc", "optic cup", "retina", "haemorrhage", "exudate"),
    "Soft tissue": ("mass",),
    "Cells": ("nuclei",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sentence:
    """A statement and the evidence it rests on.

    Attributes:
        text: Without citation, ends with a full stop.
        evidence: Ids such as "E2"; never empty for a finding.
        target: What it speaks of, or "".
        abnormal: Whether it belongs in the impression.
    """

    text: str
    evidence: tuple[str, ...]
    target: str = ""
    abnormal: bool = False

    def __str__(self) -> str:
        """Return the text with its citations."""
        return self.text + "".join(f" [{name}]" for name in self.evidence)


def findings(evidence: Sequence[Evidence], image: str) -> list[Sentence]:
    """Return one sentence per segmentation or measurement of an image, the latest of each.

    Args:
        evidence: Of the session, oldest first.
        image: Reference of the image.
    """
    latest: dict[tuple[object, ...], Sentence] = {}
    for entry in evidence:
        if entry.image != image:
            continue
        key = (entry.tool, *(entry.values.get(k) for k in ("target", "quantity", "reference")))
        sentence = _sentence(entry)
        if sentence is not None:
            latest.pop(key, None)
            latest[key] = sentence
    return list(latest.values())


def comparison(evidence: Sequence[Evidence], image: str, others: Sequence[str]) -> list[Sentence]:
    """Return how measurements of an image differ from the same ones of other images.

    Args:
        evidence: Of the session.
        image: Reference of the image reported.
        others: References of images of the same patient.
    """
    now, before = _measurements(evidence, image), {}
    for other in others:
        before.update(_measurements(evidence, other))
    sentences = []
    for key in now.keys() & before.keys():
        new, old = now[key], before[key]
        if new.values["unit"] != old.values["unit"]:
            continue
        what = _what(new)
        unit = f" {new.values['unit']}" if new.values["unit"] else ""
        text = f"{what}: {_value(new)}{unit}, in the other image {_value(old)}{unit}."
        sentences.append(Sentence(_capital(text), (new.id, old.id), str(new.values["target"])))
    return sorted(sentences, key=lambda sentence: sentence.text)


def unassessed(domain: str | None, sentences: Sequence[Sentence]) -> list[str]:
    """Return the findings of a domain about which nothing was established."""
    if domain not in DOMAINS:
        return []
    known = {sentence.target for sentence in sentences}
    return [finding for finding in DOMAINS[domain][1] if finding not in known]


def impression(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Return what is abnormal; or, if nothing is, what was looked for without being found."""
    abnormal = [sentence for sentence in sentences if sentence.abnormal]
    if abnormal:
        return abnormal
    absent = [sentence for sentence in sentences if sentence.text.endswith("not found.")]
    if not absent:
        return [Sentence("No statement: nothing that could be abnormal was assessed.", ())]
    names = ", ".join(sentence.target for sentence in absent)
    ids = tuple(dict.fromkeys(name for sentence in absent for name in sentence.evidence))
    return [Sentence(f"Looked for and not found: {names}.", ids)]


def by_region(sentences: Sequence[Sentence]) -> dict[str, list[Sentence]]:
    """Group sentences by the region of their target, in the order of a report."""
    grouped: dict[str, list[Sentence]] = {}
    for region, targets in _REGIONS.items():
        own = [sentence for sentence in sentences if sentence.target in targets]
        if own:
            grouped[region] = own
    known = {target for targets in _REGIONS.values() for target in targets}
    other = [sentence for sentence in sentences if sentence.target not in known]
    return grouped | ({"Other": other} if other else {})


def technique(evidence: Sequence[Evidence], picture: Image) -> Sentence:
    """Return how an image was made, as far as its file says."""
    what = (
        f"{picture.modality} of the {picture.body_part}"
        if picture.body_part
        else (f"{picture.modality} image")
    )
    view = f", {picture.view} view" if picture.view else ""
    rows, columns = picture.shape
    scale = (
        f"{number(picture.spacing_mm[0])} x {number(picture.spacing_mm[1])} mm per pixel"
        if picture.spacing_mm
        else "pixel size unknown, so sizes are not in mm"
    )
    ids = tuple(e.id for e in evidence if e.tool == "intake" and e.image == str(picture.ref))
    return Sentence(f"{what}{view}, {rows} x {columns} pixels, {scale}.", ids[:1])


def domain_of(sentences: Sequence[Sentence]) -> str | None:
    """Return the domain that has most of the targets spoken of."""
    targets = {sentence.target for sentence in sentences}
    best = max(DOMAINS, key=lambda name: len(targets & {*DOMAINS[name][0], *DOMAINS[name][1]}))
    return best if targets & {*DOMAINS[best][0], *DOMAINS[best][1]} else None


def _sentence(entry: Evidence) -> Sentence | None:
    values = entry.values
    if "found" in values:
        return _segmented(entry, str(values["target"]))
    if "quantity" in values:
        unit = f" {values['unit']}" if values["unit"] else ""
        text, target, abnormal = f"{_what(entry)}: {_value(entry)}{unit}.", values["target"], False
        if (values["quantity"], target, values["reference"]) == ("width_ratio", "heart", "thorax"):
            abnormal = float(values["value"] or 0) > CARDIOTHORACIC_LIMIT
            side = "above" if abnormal else "not above"
            text = f"cardiothoracic ratio {_value(entry)}, {side} {CARDIOTHORACIC_LIMIT:.2f}."
            target = "cardiomegaly"
        elif values["quantity"] == "midline_shift":
            target = "midline shift"
        return Sentence(_capital(text), (entry.id,), str(target), abnormal)
    return None


def _segmented(entry: Evidence, target: str) -> Sentence:
    values = entry.values
    if not values["found"]:
        return Sentence(f"{_capital(target)}: not found.", (entry.id,), target)
    parts = []
    if values.get("area_mm2") is not None:
        parts.append(f"long axis {number(float(values['long_axis_mm'] or 0))} mm")
        parts.append(f"area {number(float(values['area_mm2'] or 0))} mm2")
    elif values.get("area_percent") is not None:
        parts.append(f"area {number(float(values['area_percent'] or 0))} % of the picture")
    if values.get("regions"):
        regions = int(values["regions"] or 1)
        parts.append(f"{regions} regions" if regions > 1 else "one region")
    if values.get("patient_side"):
        parts.append(f"patient {values['patient_side']}")
    elif values.get("picture_position"):
        parts.append(f"{values['picture_position']} of the picture")
    if values.get("place"):
        parts.append(str(values["place"]))
    abnormal = any(target in names for _, names in DOMAINS.values())
    told = ", ".join(parts) or "found"  # a tool of another's may tell no more
    return Sentence(f"{_capital(target)}: {told}.", (entry.id,), target, abnormal)


def _measurements(evidence: Sequence[Evidence], image: str) -> dict[tuple[object, ...], Evidence]:
    return {
        tuple(entry.values.get(key) for key in ("quantity", "target", "reference")): entry
        for entry in evidence
        if entry.image == image and "quantity" in entry.values
    }


def _what(entry: Evidence) -> str:
    quantity = str(entry.values["quantity"]).replace("_", " ")
    if quantity == "midline shift":
        towards = entry.values.get("towards")
        return f"midline shift towards the patient's {towards}" if towards else quantity
    what = f"{quantity} of {entry.values['target']}"
    return f"{what} to {entry.values['reference']}" if entry.values["reference"] else what


def _value(entry: Evidence) -> str:
    told, error = number(float(entry.values["value"] or 0)), entry.values.get("error")
    return told if error is None else f"{told} ± {float(error):g}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
