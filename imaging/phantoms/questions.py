"""Builds the questions of a study; every answer is computed from its truth.

Two findings have no mask. Questions on them carry what decides them: cardiomegaly is asked about
with target "heart", quantity "width_ratio" and reference "thorax"; a midline shift with target
"ventricles", quantity "midline_shift" and reference "brain".
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from overread.imaging.phantoms import measures
from overread.imaging.phantoms.compare import change
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.question_words import (
    COMPARE,
    COUNT,
    EYE,
    FINDING,
    LOCATION_CLOSED,
    LOCATION_OPEN,
    MODALITY_CHOICES,
    MODALITY_CLOSED,
    MODALITY_OPEN,
    ORGAN,
    PRESENCE,
    RATIO,
    SHIFT,
    SHIFT_SIDE,
    SIDE,
    SIZE,
    VIEW,
)
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Finding, Question
from overread.imaging.phantoms.words import COUNTED, LOCATIONS, SETTINGS, SIZED, TERMS, Term
from overread.imaging.vocabulary import DOMAINS

MOST = 8
NONE = "none"  # the open answer when nothing is abnormal
_YES_NO = ("yes", "no")
_SIDES = ("left", "right")
# How often a study with a finding is also asked about one it lacks: balances yes and no.
_ALSO_ABSENT, _ALSO_ABSENT_OF_TWO = 0.45, 0.7
_DECIDED_BY = {
    "cardiomegaly": ("heart", "width_ratio", "thorax"),
    "midline shift": ("ventricles", "midline_shift", "brain"),
}


def build_questions(case: Case, now: Drawn, prior: Drawn | None) -> tuple[Question, ...]:
    """Return three to eight questions in random order."""
    rng = case.moment("questions")
    wanted = [
        *_compare(case, now, prior, rng),
        *_presence(case, now, rng),
        *_measured(case, now, rng),
    ]
    for finding in now.findings:
        wanted += _about(case, now, finding, rng)
    general = _general(case, now, rng)
    room = max(MOST - len(wanted), 1)
    chosen = wanted[: MOST - 1] + general[:room]
    return tuple(chosen[i] for i in rng.permutation(len(chosen)))


def _pick(rng: np.random.Generator, templates: Sequence[str], **words: str) -> str:
    text = templates[int(rng.integers(len(templates)))].format(**words)
    return text[0].upper() + text[1:]


def _presence(case: Case, now: Drawn, rng: np.random.Generator) -> list[Question]:
    """Ask about findings that are there and that are not, as often yes as no over many studies."""
    known = DOMAINS[case.domain][1]
    if not known:
        return []
    names = {finding.name for finding in now.findings}
    present = [name for name in known if name in names]
    absent = [name for name in known if name not in names]
    rng.shuffle(present)
    rng.shuffle(absent)
    if present:
        share = _ALSO_ABSENT if len(known) > 2 else _ALSO_ABSENT_OF_TWO
        asked = present[:1] + (absent[:1] if rng.random() < share else [])
    else:
        # One-finding domains get their 'no' from normal studies alone: ask those twice.
        asked = absent[:1] * 2 if len(known) == 1 else absent[:1]
    wordings = rng.permutation(PRESENCE)
    questions: list[Question] = []
    for name, wording in zip(asked, wordings, strict=False):
        target, quantity, reference = _DECIDED_BY.get(name, (name, "", ""))
        text = _pick(rng, [str(wording)], a=TERMS[(case.domain, name)].phrase)
        answer = "yes" if name in names else "no"
        questions.append(
            Question(text, answer, "closed", "presence", _YES_NO, target, quantity, reference)
        )
    return questions


def _about(case: Case, now: Drawn, finding: Finding, rng: np.random.Generator) -> list[Question]:
    key = (case.domain, finding.name)
    term = TERMS[key]
    several = finding.count > 1
    words = {
        "the": f"the {term.plural if several else term.noun}",
        "are": "are" if several else "is",
    }
    questions: list[Question] = []
    if finding.side and finding.name in now.masks and rng.random() < 0.75:
        text = _pick(rng, SIDE, **words)
        questions.append(Question(text, finding.side, "closed", "side", _SIDES, finding.name))
    if key in LOCATIONS and rng.random() < 0.6:
        options = LOCATIONS[key] if rng.random() < 0.5 else ()
        templates = LOCATION_CLOSED if options else LOCATION_OPEN
        text = _pick(rng, templates, **words, options=_listed(options))
        kind: Literal["closed", "open"] = "closed" if options else "open"
        questions.append(Question(text, finding.location, kind, "location", options, finding.name))
    if key in SIZED and rng.random() < 0.8:
        questions.append(_size(now, finding.name, term, several, rng))
    if key in COUNTED and rng.random() < 0.7:
        text = _pick(rng, COUNT, things=term.plural)
        count = str(finding.count)
        questions.append(
            Question(text, count, "number", "count", (), finding.name, quantity="count")
        )
    return questions


def _listed(options: Sequence[str]) -> str:
    return ", ".join(options[:-1]) + f" or {options[-1]}" if options else ""


def _size(now: Drawn, name: str, term: Term, several: bool, rng: np.random.Generator) -> Question:
    mask, the = now.masks[name], f"the {term.noun}"
    if rng.random() < 0.3:
        text = _pick(rng, SIZE["area"], the=f"all {term.plural} together" if several else the)
        area = f"{measures.area_mm2(mask, now.spacing_mm):.0f}"
        return Question(text, area, "number", "size", (), name, "area", unit="mm2")
    text = _pick(rng, SIZE["long_axis"], the=f"the largest {term.noun}" if several else the)
    length = f"{measures.long_axis_mm(mask, now.spacing_mm):.1f}"
    return Question(text, length, "number", "size", (), name, "long_axis", unit="mm")


def _measured(case: Case, now: Drawn, rng: np.random.Generator) -> list[Question]:
    """Ask about ratios, the midline, nuclei and the eye."""
    masks, questions = now.masks, []
    for target, reference, quantity in (
        ("heart", "thorax", "width_ratio"),
        ("optic cup", "optic disc", "height_ratio"),
    ):
        if target in masks and reference in masks and rng.random() < 0.65:
            measure = getattr(measures, quantity)
            ratio = f"{measure(masks[target], masks[reference]):.2f}"
            text = _pick(rng, RATIO[target])
            questions.append(
                Question(text, ratio, "number", "ratio", (), target, quantity, reference)
            )
    for finding in now.findings:
        if finding.name == "midline shift" and finding.side:
            decided = ("ventricles", "midline_shift", "brain")
            size = f"{finding.size_mm:.1f}"
            text = _pick(rng, SHIFT)
            questions.append(Question(text, size, "number", "size", (), *decided, unit="mm"))
            text = _pick(rng, SHIFT_SIDE)
            questions.append(Question(text, finding.side, "closed", "side", _SIDES, *decided))
    if "nuclei" in masks:
        number = str(measures.count(masks["nuclei"]))
        text = _pick(rng, COUNT, things="nuclei")
        questions.append(Question(text, number, "number", "count", (), "nuclei", "count"))
    if now.eye and rng.random() < 0.6:
        questions.append(Question(_pick(rng, EYE), now.eye, "closed", "side", _SIDES, "optic disc"))
    return questions


def _compare(
    case: Case, now: Drawn, prior: Drawn | None, rng: np.random.Generator
) -> list[Question]:
    if prior is None:
        return []
    questions = []
    for name in DOMAINS[case.domain][1]:
        how = change(name, now, prior)
        if how is None:
            continue
        sort = "course" if how in ("new", "resolved") or rng.random() < 0.4 else "size"
        options: tuple[str, ...] = ("larger", "smaller", "unchanged")
        if sort == "course":
            options = (*options, "new", "resolved")
        text = _pick(rng, COMPARE[sort], the=f"the {TERMS[(case.domain, name)].noun}")
        questions.append(Question(text, how, "closed", "compare", options, name, "area"))
    return questions


def _general(case: Case, now: Drawn, rng: np.random.Generator) -> list[Question]:
    """Ask what the picture is, in random order; always at least three."""
    setting = SETTINGS[case.domain]
    questions = [Question(_pick(rng, MODALITY_OPEN), setting.modality, "open", "modality")]
    if rng.random() < 0.6:
        others = [name for name in MODALITY_CHOICES if name != setting.modality]
        picks = [setting.modality, *rng.choice(others, int(rng.integers(1, 4)), replace=False)]
        options = tuple(str(picks[i]) for i in rng.permutation(len(picks)))
        text = _pick(rng, MODALITY_CLOSED, options=_listed(options))
        questions[0] = Question(text, setting.modality, "closed", "modality", options)
    body = setting.body or now.body_part
    questions.append(Question(_pick(rng, ORGAN), body, "open", "organ"))
    if DOMAINS[case.domain][1]:
        names = [finding.name for finding in now.findings]
        answer = ", ".join(names) if names else NONE
        questions.append(Question(_pick(rng, FINDING), answer, "open", "presence"))
    if now.view == "axial" and rng.random() < 0.4:
        questions.append(Question(_pick(rng, VIEW), "axial", "open", "view"))
    structures = [name for name in DOMAINS[case.domain][0] if name not in ("nuclei", "thorax")]
    if structures and case.domain != "fundus" and rng.random() < 0.5:
        name = structures[int(rng.integers(len(structures)))]
        area = f"{measures.area_mm2(now.masks[name], now.spacing_mm):.0f}"
        text = _pick(rng, SIZE["area"], the=f"the {name}")
        questions.append(Question(text, area, "number", "size", (), name, "area", unit="mm2"))
    return [questions[i] for i in rng.permutation(len(questions))]
