"""Open answers: shared words against hand-computed and reference values; numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import sentence_bleu
from sacrebleu.metrics import BLEU
from transformers.data.metrics.squad_metrics import compute_exact, compute_f1

from overread.evals.metrics.open_text import (
    bleu,
    exact,
    names_all,
    number_in,
    number_is_right,
    overlap,
    tokens,
)

PAIRS = [
    ("left lung", "left lung"),
    ("the left lung", "left lung"),
    ("left lung", "left upper lung"),
    ("left left lung", "left lung"),
    ("right lung", "left lung"),
    ("pleural effusion", "nodule"),
    ("an MRI of the brain", "MRI"),
    ("Pleural effusion.", "pleural effusion"),
    ("lung lung lung", "lung"),
    ("a nodule in the upper part of the left lung", "left upper lobe nodule"),
    ("nodule", "a nodule in the upper part of the left lung"),
    ("12 mm", "12 mm"),
]


@pytest.mark.parametrize(
    ("answer", "reference", "precision", "recall"),
    [
        ("left lung", "left lung", 1, 1),
        ("the left lung", "left lung", 1, 1),
        ("left lung", "left upper lung", 1, 2 / 3),
        ("left upper lung", "left lung", 2 / 3, 1),
        ("left left lung", "left lung", 2 / 3, 1),
        ("left", "left left", 1, 1 / 2),
        ("right lung", "left lung", 1 / 2, 1 / 2),
        ("effusion", "nodule", 0, 0),
        ("", "nodule", 0, 0),
        ("the", "nodule", 0, 0),
        ("left-sided", "left", 1 / 2, 1),
        ("12.4 mm", "12.4", 1 / 2, 1),
        ("12", "12.4", 0, 0),
    ],
)
def test_precision_and_recall_are_not_swapped(
    answer: str, reference: str, precision: float, recall: float
) -> None:
    scores = overlap(answer, reference)
    assert (scores.precision, scores.recall) == pytest.approx((precision, recall))
    assert scores[:2] == pytest.approx((precision, recall))


@pytest.mark.parametrize(("answer", "reference"), PAIRS)
def test_f1_and_exact_match_those_of_squad(answer: str, reference: str) -> None:
    assert overlap(answer, reference).f1 == pytest.approx(compute_f1(reference, answer))
    assert exact(answer, reference) == bool(compute_exact(reference, answer))


@pytest.mark.parametrize(("answer", "reference"), PAIRS)
def test_bleu1_matches_nltk_and_sacrebleu(answer: str, reference: str) -> None:
    said, true = tokens(answer), tokens(reference)
    ours = bleu(answer, [reference])
    assert ours == pytest.approx(float(sentence_bleu([true], said, weights=(1,))))
    sacre = BLEU(max_ngram_order=1, smooth_method="none", tokenize="none", effective_order=False)
    theirs = sacre.sentence_score(" ".join(said), [" ".join(true)]).score / 100
    assert ours == pytest.approx(theirs)


@given(st.lists(st.sampled_from(["left", "lung", "no", "nodule"]), max_size=8).map(" ".join))
def test_overlap_properties(text: str) -> None:
    other = "left lung nodule"
    assert overlap(text, other).f1 == pytest.approx(overlap(other, text).f1)
    assert 0 <= bleu(text, [other]) <= 1
    if text:
        assert overlap(text, text) == pytest.approx((1, 1, 1))
        assert bleu(text, [text]) == pytest.approx(1)
        assert exact(text, text)


@given(st.text(max_size=40))
def test_any_text_is_tokenised(text: str) -> None:
    assert 0 <= overlap(text, "left lung").f1 <= 1
    value = number_in(text, "mm", count=True)
    assert value is None or math.isfinite(value)


@pytest.mark.parametrize(
    ("text", "unit", "count", "value"),
    [
        ("12", "", False, 12),
        ("The ratio is 0.54 [E3].", "", False, 0.54),
        ("[E2] 61", "mm", False, 61),
        ("60.0 mm", "mm", False, 60),
        ("1.2 cm", "mm", False, 12),
        ("12 mm", "cm", False, 1.2),
        ("3 cm2", "mm2", False, 300),
        ("1,200 mm²", "mm2", False, 1200),
        ("Image 2 shows 3 nuclei.", "", True, 3),
        ("The T2 signal measures 8 mm", "mm", False, 8),
        ("There are two nodules.", "", True, 2),
        ("Twenty", "", True, 20),
        ("None.", "", True, 0),
        ("There are no platelets.", "", True, 0),
        ("I count 3 on the left and 2 on the right. The answer is 5.", "", True, 5),
        (r"\boxed{7}", "", True, 7),
        ("-5", "", False, -5),
        ("The count is 5.", "", True, 5),
        ("no number", "mm", False, None),
        ("two", "mm", False, None),
        ("Image1", "", True, None),
        ("T1", "", False, None),
        ("", "", True, None),
    ],
)
def test_number_is_read(text: str, unit: str, count: bool, value: float | None) -> None:
    assert number_in(text, unit, count) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("said", "true", "count", "right"),
    [
        (0.54, 0.50, False, True),
        (61, 50, False, False),
        (60, 50, False, True),
        (0.6, 0.5, False, True),
        (40, 50, False, True),
        (39.9, 50, False, False),
        (5, 4, True, False),
        (4, 4, True, True),
        (10, 11, True, True),
        (44, 40, True, True),
        (49, 40, True, False),
        (0, 0, False, True),
        (0.1, 0, False, False),
        (None, 3, False, False),
    ],
)
def test_tolerance(said: float | None, true: float, count: bool, right: bool) -> None:
    assert number_is_right(said, true, count=count) is right


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("Nodule on the left [E2]. Effusion [E3].", "effusion, nodule", True),
        ("Nodule on the left [E2].", "effusion, nodule", False),
        ("A nodule, but no effusion.", "effusion, nodule", False),
        ("No nodule.", "nodule", False),
        ("noduleeffusion", "effusion, nodule", False),
        ("No abnormality was found [E2].", "none", True),
        ("Normal.", "none", True),
        ("None", "none", True),
        ("Not normal.", "none", False),
        ("Abnormality: nodule", "none", False),
        ("This is an X-ray.", "X-ray", True),
        ("", "none", False),
    ],
)
def test_all_parts(text: str, reference: str, right: bool) -> None:
    assert names_all(text, reference) is right
