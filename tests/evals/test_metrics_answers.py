"""Dispatch by kind: what decides, what is flagged, what stays in the denominator."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.evals.items import Item, Kind
from overread.evals.metrics.answers import score_answer
from overread.imaging.errors import InputError

REPORT = "Findings: Small left effusion. No nodule. Impression: Left effusion."


def item(
    kind: Kind,
    *answers: str,
    options: tuple[str, ...] = (),
    question: str = "?",
    **extra: Any,
) -> Item:
    return Item("q1", question, (), answers, kind, options, extra=extra)


LETTERS = item("choice", "B", options=("cyst", "mass", "nodule"))
YES = item("closed", "yes", options=("yes", "no"), question="Is there an effusion?")
NO = item("closed", "no", options=("yes", "no"), question="Is there an effusion?")
FREE = item("closed", "Axial", question="Is this an axial or a coronal image?")
WORD = item("closed", "Chest", question="Which region?")
COUNT = item("number", "4", quantity="count")
SIZE = item("number", "50.0", unit="mm")
LIST = item("open", "effusion, nodule", parts=True)
NOTHING = item("open", "none", parts=True)
OPEN = item("open", "left lung", "left hemithorax")


@pytest.mark.parametrize(
    ("asked", "answer", "value", "parsed"),
    [
        (LETTERS, "Option B", 1, "B"),
        (LETTERS, "B, because of the T2 signal", 1, "B"),
        (LETTERS, "A", 0, "A"),
        (LETTERS, "", 0, None),
        (LETTERS, "I cannot say.", 0, None),
        (YES, "Yes, it is noted.", 1, "yes"),
        (YES, "No evidence of effusion.", 0, "no"),
        (NO, "No evidence of effusion.", 1, "no"),
        (NO, "normal", 0, None),
        (NO, "cannot be determined", 0, None),
        (item("closed", "No"), "no.", 1, "no"),
        (item("closed", "No"), "There is nothing known about it.", 0, None),
        (FREE, "It is an axial slice.", 1, "axial"),
        (FREE, "coronal", 0, "coronal"),
        (FREE, "sagittal", 0, None),
        (WORD, "chest.", 1, "chest"),
        (WORD, "The answer is: chest", 1, "chest"),
        (WORD, "abdomen", 0, "abdomen"),
        (WORD, "", 0, None),
        (COUNT, "There are four nuclei.", 1, "4"),
        (COUNT, "5", 0, "5"),
        (SIZE, "5.5 cm", 1, "55"),
        (SIZE, "large", 0, None),
        (item("number", "50", tolerance=0.05), "55", 0, "55"),
        (OPEN, "left hemithorax", 1, "left hemithorax"),
        (OPEN, "left upper lung", 0.8, "left upper lung"),
        (OPEN, "", 0, None),
        (LIST, "Nodule [E2] and effusion [E3].", 1, "Nodule and effusion."),
        (LIST, "nodule", 0, "nodule"),
        (LIST, "nodule, effusion, pneumothorax", 0, "nodule, effusion, pneumothorax"),
        (NOTHING, "Normal.", 1, "Normal."),
        (NOTHING, "nodule", 0, "nodule"),
        (item("report", REPORT), REPORT, 1, None),
        (item("report", REPORT), "Left effusion. No nodule.", 1, None),
        (item("report", REPORT), "Left effusion.", 2 / 3, None),
        (item("report", REPORT), "", 0, None),
        (item("report", REPORT), "Findings: Impression:", 0, None),
    ],
)
def test_what_decides(asked: Item, answer: str, value: float, parsed: str | None) -> None:
    scores = score_answer(asked, answer)
    assert scores.values[scores.main] == pytest.approx(value)
    if asked.kind != "report":
        assert scores.parsed == parsed
        assert scores.values["unparsed"] == float(parsed is None)
    assert all(0 <= number <= 1 for number in scores.values.values())


def test_labels_do_not_count_as_agreement() -> None:
    asked = item("report", "Findings: Left effusion. Impression: Effusion.")
    scores = score_answer(asked, "Findings: Broken rib. Impression: Fracture.").values
    assert [scores[name] for name in ("bleu1", "rouge_l", "meteor_stem")] == [0, 0, 0]


def test_empty_report_is_flagged_and_scores_zero_everywhere_else() -> None:
    values = dict(score_answer(item("report", "No nuclei. Normal."), "  ").values)
    assert values.pop("unparsed") == 1
    assert set(values.values()) == {0.0}


def test_sides_are_scored_where_both_reports_have_a_finding() -> None:
    asked = item("report", REPORT)
    assert score_answer(asked, "Right effusion.").values["sides"] == 0
    assert "sides" not in score_answer(asked, "Right nodule.").values


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (item("mask", "x"), "of kind 'mask' is not answered in words"),
        (item("open"), "has no reference answer"),
        (item("choice", "D", options=("cyst", "mass")), "'D' is not one of the letters"),
        (item("number", "many"), "is no number"),
    ],
)
def test_items_that_cannot_be_scored_are_refused(asked: Item, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_answer(asked, "A")


@given(st.text(max_size=60), st.sampled_from([LETTERS, YES, FREE, WORD, COUNT, SIZE, LIST, OPEN]))
def test_every_text_gets_a_score_in_range(text: str, asked: Item) -> None:
    scores = score_answer(asked, text)
    assert 0 <= scores.values[scores.main] <= 1
    assert scores.parsed is not None or scores.values[scores.main] == 0
