"""Findings by rules: against phantoms' exact truth, and on sentences as radiologists write them."""

from collections import Counter
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.evals.metrics.findings import Finding, compare, extract
from overread.imaging.phantoms import generate
from overread.imaging.phantoms.truth import Phantom
from overread.imaging.vocabulary import DOMAINS

PATIENTS = 30  # of each of the seven domains


@lru_cache(maxsize=1)
def phantoms() -> tuple[Phantom, ...]:
    return tuple(
        generate(domain, patient, size=64) for domain in DOMAINS for patient in range(PATIENTS)
    )


@pytest.mark.parametrize("section", ["findings", "impression", "both"])
def test_extraction_agrees_with_the_truth_of_phantoms(section: str) -> None:
    assert len(phantoms()) >= 200
    counts: Counter[str] = Counter()
    for phantom in phantoms():
        report = phantom.report
        texts = {"findings": report.findings, "impression": report.impression}
        text = texts.get(section, f"{report.findings} {report.impression}")
        said = extract(text, DOMAINS[phantom.domain][1])
        true = {Finding(f.name, f.side or "", True) for f in phantom.findings}
        present = {finding for finding in said if finding.present}
        counts["right"] += len(present & true)
        counts["wrong"] += len(present - true)
        counts["missed"] += len(true - present)
        there = {finding.name for finding in true}
        for finding in said - present:
            counts["denied wrongly" if finding.name in there else "denied rightly"] += 1
        denials = text.count("No ") + text.count("of normal size")
        counts["denials"] += denials if section == "findings" else 0
    assert counts["right"] > 100
    assert counts["right"] / (counts["right"] + counts["wrong"]) >= 0.95
    assert counts["right"] / (counts["right"] + counts["missed"]) >= 0.95
    assert counts["denied wrongly"] == 0
    assert counts["denied rightly"] >= 0.95 * counts["denials"]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("No pleural effusion or pneumothorax.", "-effusion -pneumothorax"),
        ("There is no focal consolidation, effusion, or pneumothorax.",
         "-consolidation -effusion -pneumothorax"),
        ("small left effusion", "+effusion:left"),
        ("The lungs are without focal consolidation.", "-consolidation"),
        ("Heart size is normal.", "-cardiomegaly"),
        ("The cardiomediastinal silhouette is within normal limits.", "-cardiomegaly"),
        ("The heart is not enlarged.", "-cardiomegaly"),
        ("The heart is mildly enlarged.", "+cardiomegaly"),
        ("Resolved right nodule.", "-nodule:right"),
        ("The previously seen right nodule is no longer visible.", "-nodule:right"),
        ("Interval resolution of the left pneumothorax.", "-pneumothorax:left"),
        ("The effusion and consolidation have resolved.", "-effusion -consolidation"),
        ("The effusion has resolved and there is a new left consolidation.",
         "-effusion:left +consolidation:left"),
        ("Bilateral pleural effusions.", "+effusion:left +effusion:right"),
        ("Left effusion and right lower lobe consolidation.",
         "+effusion:left +consolidation:right"),
        ("No left effusion or right pneumothorax.", "-effusion:left -pneumothorax:right"),
        ("Left pleural effusion with adjacent atelectasis.",
         "+effusion:left +atelectasis:left"),
        ("No significant change in the small left effusion.", "+effusion:left"),
        ("The nodule has not changed.", "+nodule"),
        ("Pneumonia cannot be excluded.", "+pneumonia"),
        ("We cannot entirely exclude a right pneumothorax.", "+pneumothorax:right"),
        ("No pneumothorax and small left effusion.", "-pneumothorax +effusion:left"),
        ("Cardiomegaly with a small right effusion.", "+cardiomegaly +effusion:right"),
        ("The lungs are clear.", "-consolidation"),
        ("The left lung is clear of nodules.", "-nodule:left"),
        ("Negative for fracture.", "-fracture"),
        ("Pneumothorax: none. Effusion: small, left.", "-pneumothorax +effusion:left"),
        ("No acute cardiopulmonary abnormality.", ""),
        ("Normal abdominal CT slice.", ""),
        ("12 mm nodule, left upper lobe; no calcification.", "+nodule:left -calcification"),
        ("", ""),
    ],
)  # fmt: skip
def test_sentences_as_radiologists_write_them(sentence: str, expected: str) -> None:
    found = {
        ("+" if finding.present else "-") + finding.name + (f":{finding.side}" * bool(finding.side))
        for finding in extract(sentence)
    }
    assert found == set(expected.split())


def test_presence_wins_over_denial_and_a_side_over_none() -> None:
    text = "No effusion on the first look. There is an effusion. Left effusion."
    assert extract(text) == {Finding("effusion", "left", True)}
    assert extract("No right effusion. Left effusion.") == {
        Finding("effusion", "left", True),
        Finding("effusion", "right", False),
    }


@pytest.mark.parametrize(
    ("candidate", "reference", "f1", "present_f1", "sides"),
    [
        ("Left effusion.", "Left effusion.", 1, 1, 1),
        ("Left effusion.", "Right effusion.", 0, 1, 0),
        ("No effusion.", "Left effusion.", 0, 0, None),
        ("No effusion.", "No effusion.", 1, 1, None),
        ("Left effusion. No nodule.", "Left effusion.", 2 / 3, 1, 1),
        ("Left effusion.", "Left effusion. No nodule. No fracture.", 1 / 2, 1, 1),
        ("Left effusion. Right nodule.", "Left effusion.", 2 / 3, 2 / 3, 1),
        ("Left effusion. Right nodule.", "Left effusion. Left nodule.", 1 / 2, 1, 1 / 2),
        ("Bilateral effusions.", "Left effusion.", 2 / 3, 1, 0),
        ("33 nuclei are seen.", "34 nuclei are seen.", 1, 1, None),
        ("33 nuclei are seen.", "Left nodule.", 0, 0, None),
        ("", "No effusion.", 0, 0, None),
        ("  ", "34 nuclei are seen.", 0, 0, None),
    ],
)
def test_agreement(
    candidate: str, reference: str, f1: float, present_f1: float, sides: float | None
) -> None:
    scores = compare(candidate, reference)
    assert (scores.f1, scores.present_f1, scores.sides) == pytest.approx((f1, present_f1, sides))


sentences = st.sampled_from(
    ["Left effusion.", "No effusion.", "Right nodule.", "Cardiomegaly.", "The lungs are clear.",
     "Bilateral pneumothorax.", "No fracture.", "Stable."]
)  # fmt: skip
reports = st.lists(sentences, min_size=1, max_size=5).map(" ".join)


@given(reports, reports)
def test_f1_is_symmetric_and_bounded(left: str, right: str) -> None:
    one, other = compare(left, right), compare(right, left)
    assert one.f1 == pytest.approx(other.f1)
    assert (one.precision, one.recall) == pytest.approx((other.recall, other.precision))
    assert 0 <= one.f1 <= 1
    assert compare(left, left).f1 == 1


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    assert 0 <= compare(text, "Left effusion.").f1 <= 1
