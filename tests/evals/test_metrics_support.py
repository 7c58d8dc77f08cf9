"""Support and citations on answers whose verdict a person can read off the evidence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overread.evals.metrics.support import Support, support
from overread.imaging.errors import InputError
from overread.tools import phrases
from overread.tools.base import Value

NODULE: dict[str, Value] = {
    "found": True, "target": "nodule", "area_mm2": 134.3, "long_axis_mm": 12.4, "regions": 1,
    "picture_position": "upper right", "patient_side": "left",
}  # fmt: skip
NO_EFFUSION: dict[str, Value] = {"found": False, "target": "effusion"}


def entry(number: int, tool: str, content: str, values: dict[str, Value]) -> dict:
    return {
        "id": f"E{number}", "tool": tool, "content": content, "values": values,
        "arguments": {"image": 1},
    }  # fmt: skip


EVIDENCE = [
    entry(
        1, "intake", phrases.intake(1, "CR", "chest", (512, 512), (0.5, 0.5)),
        {"modality": "CR", "body_part": "chest", "view": "PA"},
    ),
    entry(2, "segment", phrases.segmented(1, "nodule", NODULE, 0.93), NODULE),
    entry(3, "segment", phrases.segmented(1, "effusion", NO_EFFUSION, 0.9), NO_EFFUSION),
    entry(
        4, "measure", phrases.measured(1, "width_ratio", "heart", "thorax", 0.54, ""),
        {"quantity": "width_ratio", "target": "heart", "reference": "thorax", "value": 0.54},
    ),
]  # fmt: skip

TABLE = [
    # question, answer -> hallucination, citation precision, citation recall, unchecked
    ("Is there a nodule?", "Yes [E2].", 0, 1, 1, 0),
    ("Is there a nodule?", "Yes.", 0, None, 0, 0),  # true, but not cited
    ("Is there a nodule?", "No [E2].", 1, 0, 0, 0),
    ("Is there an effusion?", "No [E3].", 0, 1, 1, 0),
    ("Is there an effusion?", "Yes [E3].", 1, 0, 0, 0),
    ("", "There is a nodule in the left lung [E2].", 0, 1, 1, 0),
    ("", "There is a nodule in the right lung [E2].", 1, 0, 0, 0),
    ("", "It measures 12.4 mm [E2].", 0, 1, 1, 0),
    ("", "It measures 24.1 mm [E2].", 1, 0, 0, 0),
    ("", "The ratio is 0.54 [E4].", 0, 1, 1, 0),
    ("", "There is a nodule [E3].", 0, 0, 0, 0),  # supported, but by other evidence
    ("", "There is a nodule [E2][E3].", 0, 1 / 2, 1, 0),  # E3 adds nothing
    ("", "A nodule is present, but no effusion [E2][E3].", 0, 1, 1, 0),  # it takes both
    ("", "A nodule is present, but no effusion [E2].", 0, 0, 0, 0),
    ("", "There is a nodule [E2]. There is a pneumothorax [E2].", 1 / 2, 1 / 2, 1 / 2, 0),
    ("", "There is a nodule [E2]. There is no effusion.", 0, 1, 1 / 2, 0),
    ("", "There is a nodule [E2][E9].", 0, 1 / 2, 1, 0),  # E9 does not exist
    ("", "There is a mass [E9].", 1, 0, 0, 0),
    ("", "It lies in the upper right of the picture [E2].", 0, 1, 1, 0),
    ("", "It lies in the lower left of the picture [E2].", 1, 0, 0, 0),
    ("", "This is a chest X-ray [E1].", 0, 1, 1, 0),
    ("", "This is a chest CT [E1].", 1, 0, 0, 0),
    ("", "There is not enough evidence to answer this.", None, None, None, 0),
    ("", "Please have a radiologist check this.", None, None, None, 0),
    ("", "", None, None, None, 0),
    ("", "Aspergillosis seems likely [E2].", 1, 0, 0, 0),
    ("", "Aspergillosis seems likely.", 1, None, 0, 0),
    ("", "There is a nodule [E2]. Aspergillosis seems likely [E2].", 1 / 2, 1 / 2, 1 / 2, 0),
    ("", "The upper part looks darker [E2].", None, None, None, 1),  # "upper" alone is no support
    ("", "There is a nodule [E2]. The upper part looks darker [E2].", 0, 1, 1, 1),
]


@pytest.mark.parametrize(
    ("question", "answer", "hallucination", "precision", "recall", "un"), TABLE
)
def test_hand_marked_table(
    question: str, answer: str, hallucination: float | None, precision: float | None,
    recall: float | None, un: int,
) -> None:  # fmt: skip
    told = support(answer, EVIDENCE, question)
    assert (told.hallucination, told.citation_precision, told.citation_recall, told.unchecked) == (
        hallucination, precision, recall, un
    )  # fmt: skip


BARE = [
    ("Yes, there is a nodule.", 1, None, 0),
    ("There is a nodule [E1].", 1, 0, 0),
    ("Aspergillosis seems likely.", 1, None, 0),
    ("There is not enough evidence.", None, None, None),
    ("", None, None, None),
]


@pytest.mark.parametrize(("answer", "hallucination", "precision", "recall"), BARE)
def test_without_evidence_nothing_is_supported(answer, hallucination, precision, recall) -> None:
    told = support(answer, [])
    assert (told.hallucination, told.citation_precision, told.citation_recall) == (
        hallucination, precision, recall
    )  # fmt: skip


SAID = [answer for _, answer, *_ in TABLE if answer]


@given(st.lists(st.sampled_from(SAID), max_size=4), st.integers(0, 4))
@settings(deadline=None)
def test_counts_add_up_over_sentences(answers: list[str], kept: int) -> None:
    some = EVIDENCE[:kept]
    whole = support(" ".join(answers), some)
    parts = [support(answer, some) for answer in answers]
    for name in Support.__dataclass_fields__:
        assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
    assert whole.bearing <= whole.citations
    assert whole.cited_well <= whole.supported
    for share in (whole.hallucination, whole.citation_precision, whole.citation_recall):
        assert share is None or 0 <= share <= 1


def test_words_are_enough_where_values_are_missing() -> None:
    note = {"id": "E1", "tool": "note", "content": "A nodule of 12 mm in the left lung."}
    assert support("There is a nodule of 12 mm on the left [E1].", [note]).hallucination == 0
    assert support("There is a nodule of 30 mm on the left [E1].", [note]).hallucination == 1


def test_unusable_evidence_is_named() -> None:
    with pytest.raises(InputError, match="entry 2 of the evidence has no usable content"):
        support("Yes [E1].", [EVIDENCE[0], {"id": "E2", "tool": "segment"}])
    with pytest.raises(InputError, match="no usable id"):
        support("Yes [E1].", [EVIDENCE[0] | {"id": "first"}])
    with pytest.raises(InputError, match="E1 twice"):
        support("Yes [E1].", [EVIDENCE[0], EVIDENCE[0]])
