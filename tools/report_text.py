"""Compose a structured draft report from evidence. Pure text: knows no models and no files."""

from collections.abc import Sequence
from dataclasses import dataclass

from overread.imaging.study import Image
from overread.imaging.vocabulary import DOMAINS, FINDINGS
from overread.tools.base import Evidence, Value
from overread.tools.limits import UNSURE, limit_of
from overread.tools.phrases import number

BANNER = (
    "> **DRAFT - research use only.** Written by a program, not checked by a physician, "
    "not a medical device."
)

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
        is_open: Whether the impression tells it as not settled: near a limit, or not judged by it.
        absent: What was looked for and is not there, with the confidence if that is low; or "".
    """

    text: str
    evidence: tuple[str, ...]
    target: str = ""
    abnormal: bool = False
    is_open: bool = False
    absent: str = ""

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
    taken = taken_in(evidence, image)
    for entry in evidence:
        if entry.image != image:
            continue
        key = (entry.tool, *(entry.values.get(k) for k in ("target", "quantity", "reference")))
        sentence = _sentence(entry, taken)
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
        text = f"{_what(new)}: {_amount(new)}, in the other image {_amount(old)}."
        sentences.append(Sentence(_capital(text), (new.id, old.id), str(new.values["target"])))
    return sorted(sentences, key=lambda sentence: sentence.text)


def unassessed(domain: str | None, sentences: Sequence[Sentence]) -> list[str]:
    """Return the findings of a domain about which nothing was established."""
    if domain not in DOMAINS:
        return []
    known = {sentence.target for sentence in sentences}
    return [finding for finding in DOMAINS[domain][1] if finding not in known]


def impression(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Return what is abnormal or open; where nothing is abnormal, also what was not found."""
    told = [sentence for sentence in sentences if sentence.abnormal or sentence.is_open]
    absent = [sentence for sentence in sentences if sentence.absent]
    if absent and not any(sentence.abnormal for sentence in told):
        names = ", ".join(sentence.absent for sentence in absent)
        ids = tuple(dict.fromkeys(name for sentence in absent for name in sentence.evidence))
        told.append(Sentence(f"Looked for and not found: {names}.", ids))
    return told or [Sentence("No statement: nothing that could be abnormal was assessed.", ())]


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
    taken = taken_in(evidence, str(picture.ref))
    ids = (taken.id,) if taken else ()
    return Sentence(f"{what}{view}, {rows} x {columns} pixels, {scale}.", ids)


def domain_of(sentences: Sequence[Sentence]) -> str | None:
    """Return the domain that has most of the targets spoken of."""
    targets = {sentence.target for sentence in sentences}
    best = max(DOMAINS, key=lambda name: len(targets & {*DOMAINS[name][0], *DOMAINS[name][1]}))
    return best if targets & {*DOMAINS[best][0], *DOMAINS[best][1]} else None


def taken_in(evidence: Sequence[Evidence], image: str) -> Evidence | None:
    """Return what the file itself said of an image."""
    return next((e for e in evidence if e.tool == "intake" and e.image == image), None)


def view_of(taken: Evidence | None) -> str:
    """Return the projection that an image's file states, such as "PA"; "" if none."""
    return str((taken.values.get("view") if taken else None) or "").upper()


def _sentence(entry: Evidence, taken: Evidence | None) -> Sentence | None:
    if "found" in entry.values:
        return _segmented(entry, str(entry.values["target"]))
    return _measured(entry, taken) if "quantity" in entry.values else None


def _measured(entry: Evidence, taken: Evidence | None) -> Sentence:
    """Return a measurement and, where a limit settles it, what it comes to."""
    values, unsure = entry.values, _unsure(entry)
    target, limit = str(values["target"]), limit_of(values)
    ids: tuple[str, ...] = (entry.id,)
    if limit is None:
        return Sentence(_capital(f"{_what(entry)}: {_amount(entry)}{unsure}."), ids, target)
    view = view_of(taken)
    obstacle, verdict = limit.obstacle(values, view), limit.verdict(values, view)
    if obstacle and taken:
        ids = (entry.id, taken.id)
    if not obstacle and limit.finding in FINDINGS:
        target = limit.finding
    side = {
        "found": f"{'at or ' if limit.counts else ''}above {limit}",
        "absent": f"{'below' if limit.counts else 'not above'} {limit}",
        "small": f"below {limit}",
        "borderline": f"borderline: {limit} lies within its error",
        "not judged": f"not judged: {obstacle}",
    }[verdict]
    what = f"{_what(entry)}:" if limit.unit else limit.measure
    gone = {"absent": limit.finding, "small": f"{limit.finding} of {limit} or more"}.get(verdict)
    return Sentence(
        _capital(f"{what} {_amount(entry)}, {side}{unsure}."),
        ids,
        target,
        abnormal=verdict == "found",
        is_open=verdict in ("borderline", "not judged"),
        absent=_absent(entry, gone) if gone else "",
    )


def _segmented(entry: Evidence, target: str) -> Sentence:
    values, unsure = entry.values, _unsure(entry)
    if not values["found"]:
        text = f"{_capital(target)}: not found{unsure}."
        return Sentence(text, (entry.id,), target, absent=_absent(entry, target))
    parts = []
    if values.get("area_mm2") is not None:
        parts.append(f"long axis {number(float(values['long_axis_mm'] or 0))} mm")
        parts.append(f"area {number(float(values['area_mm2'] or 0))} mm2")
    elif values.get("area_percent") is not None:
        parts.append(f"area {number(float(values['area_percent'] or 0))} % of the picture")
    if values.get("slices"):  # an outline that was carried through its series
        seen = f"in {values['slices']} of {values['slices_of']} images"
        volume = values.get("volume_ml")
        told = "seen" if volume is None else f"volume {_with_error(volume, values.get('error'))} ml"
        parts.append(f"{told} {seen}")
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
    named = _capital(f"possible {target}" if unsure else target)
    return Sentence(f"{named}: {told}{unsure}.", (entry.id,), target, abnormal)


def _unsure(entry: Evidence) -> str:
    """Return the confidence as an addition to a sentence; "" where it is high or not known."""
    sure = entry.confidence
    return "" if sure is None or sure >= UNSURE else f", confidence {100 * sure:.0f} %"


def _absent(entry: Evidence, finding: str) -> str:
    unsure = _unsure(entry).removeprefix(", ")
    return f"{finding} ({unsure})" if unsure else finding


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


def _amount(entry: Evidence) -> str:
    """Return a value, or two axes, with error and unit."""
    values = entry.values
    told = _with_error(values["value"], values.get("error"))
    if values.get("short_axis") is not None:
        told += f" x {_with_error(values['short_axis'], values.get('short_axis_error'))}"
    return f"{told} {values['unit']}".rstrip()


def _with_error(value: Value, error: Value) -> str:
    told = number(float(value or 0))
    return told if error is None else f"{told} ± {float(error):g}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
