from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overread.imaging.phantoms import DOMAINS, Phantom, Question, generate, measures
from overread.imaging.phantoms.compare import CLEAR, SAME
from overread.imaging.phantoms.words import TERMS

PHANTOMS = [(domain, patient) for domain in DOMAINS for patient in range(70)]


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [generate(domain, patient, patient % 3 // 2, 64) for domain, patient in PHANTOMS]


def recomputed(phantom: Phantom, question: Question) -> str:
    """Answer a number question from masks and spacing alone."""
    mask, spacing = phantom.masks[question.target], phantom.spacing_mm
    match question.quantity:
        case "long_axis":
            return f"{measures.long_axis_mm(mask, spacing):.1f}"
        case "area":
            return f"{np.count_nonzero(mask) * spacing[0] * spacing[1]:.0f}"
        case "count":
            return str(measures.count(mask))
        case "width_ratio":
            other = phantom.masks[question.reference]
            return f"{np.ptp(np.nonzero(mask)[1]) + 1:.0f}/{np.ptp(np.nonzero(other)[1]) + 1:.0f}"
        case "height_ratio":
            other = phantom.masks[question.reference]
            return f"{np.ptp(np.nonzero(mask)[0]) + 1:.0f}/{np.ptp(np.nonzero(other)[0]) + 1:.0f}"
        case "midline_shift":
            shift = measures.midline_shift_mm(mask, phantom.masks[question.reference], spacing)
            return f"{abs(shift):.1f}"
    raise AssertionError(question)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(DOMAINS)), st.integers(0, 9999), st.integers(0, 1))
def test_questions_are_well_formed_and_true(domain: str, patient: int, visit: int) -> None:
    phantom = generate(domain, patient, visit, 128)
    named = {finding.name: finding for finding in phantom.findings}
    assert 3 <= len(phantom.questions) <= 8
    assert len({q.text for q in phantom.questions}) == len(phantom.questions)
    for question in phantom.questions:
        assert question.text[0].isupper() and question.text[-1] in "?."
        assert "{" not in question.text
        if question.answer_type == "number":
            answer = recomputed(phantom, question)
            if "/" in answer:
                top, bottom = answer.split("/")
                answer = f"{int(top) / int(bottom):.2f}"
            assert float(question.answer) == float(answer)
            assert question.options == ()
        if question.answer_type == "closed":
            assert question.answer in question.options
        if question.content_type == "side" and question.target in named:
            assert question.answer == named[question.target].side
        if question.content_type == "location":
            assert question.answer == named[question.target].location
        if question.options == ("yes", "no"):
            asked = [n for n in DOMAINS[domain][1] if TERMS[(domain, n)].noun in question.text]
            assert asked and (question.answer == "yes") == (asked[-1] in named)


def test_yes_and_no_are_balanced_in_every_domain(phantoms: list[Phantom]) -> None:
    answers = {domain: Counter() for domain in DOMAINS if DOMAINS[domain][1]}
    for phantom in phantoms:
        for question in phantom.questions:
            if question.options == ("yes", "no"):
                answers[phantom.domain][question.answer] += 1
    for domain, found in answers.items():
        share = found["yes"] / found.total()
        assert 0.36 < share < 0.64, f"{domain}: {found}"


def test_every_content_type_is_asked_with_several_wordings(phantoms: list[Phantom]) -> None:
    texts: dict[str, set[str]] = {}
    for phantom in phantoms:
        for question in phantom.questions:
            texts.setdefault(question.content_type, set()).add(question.text)
    for kind in ("presence", "side", "size", "count", "location", "modality", "organ", "ratio"):
        assert len(texts[kind]) >= 4, kind
    assert {"compare", "view"} <= texts.keys()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["chest-xray", "chest-ct", "abdomen-ct", "ultrasound"]), st.integers(0, 9999)
)
def test_comparisons_hold_between_the_two_masks(domain: str, patient: int) -> None:
    prior, now = generate(domain, patient, 0, 128), generate(domain, patient, 1, 128)
    for question in now.questions:
        if question.content_type != "compare":
            continue
        before, after = prior.masks.get(question.target), now.masks.get(question.target)
        if question.answer == "new":
            assert before is None and after is not None
        elif question.answer == "resolved":
            assert before is not None and after is None
        else:
            assert before is not None and after is not None
            ratio = (np.count_nonzero(after) / np.count_nonzero(before)) ** 0.5
            low, high = {
                "larger": (CLEAR, 9.0),
                "smaller": (0.0, 1 / CLEAR),
                "unchanged": (1 / SAME, SAME),
            }[question.answer]
            assert low <= ratio <= high


def test_reports_name_what_is_there_and_deny_nothing_of_it(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        text = f"{phantom.report.findings} {phantom.report.impression}"
        assert "{" not in text and "  " not in text and phantom.report.impression
        for finding in phantom.findings:
            assert TERMS[(phantom.domain, finding.name)].absent not in text
            if finding.side and finding.name != "midline shift":
                assert finding.side in text.lower()
