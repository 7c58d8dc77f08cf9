"""Tables worked out by hand; the metrics themselves are tested in tests/evals."""

from typing import Any

import pytest

from overread.imaging.errors import ConfigError, InputError
from overread.training.examples import Example
from overread.training.rewards.citation import citation_reward
from overread.training.rewards.closed import closed_reward
from overread.training.rewards.form import form_reward
from overread.training.rewards.grounding import boxes_in, grounding_reward
from overread.training.rewards.measurement import measurement_reward
from overread.training.rewards.open_words import open_reward
from overread.training.rewards.reference import question_of
from overread.training.rewards.registry import REWARDS, reward_for
from overread.training.rewards.report import report_reward
from overread.training.rewards.session import SessionRecord
from overread.training.rewards.tool_use import tool_use_reward


def example(task: str, question: str = "What is it?", **reference: Any) -> Example:
    words = f"[E1] image 1: modality CR\nQuestion: {question}"
    content = [{"type": "text", "text": words}]
    return Example(
        id="x1", dataset="set", task=task, patient="p1", split="train",
        messages=[{"role": "system", "content": "Answer."}, {"role": "user", "content": content}],
        images=[], learn=None, reference=reference, fingerprint="0",
    )  # fmt: skip


FOUND = {
    "id": "E2", "tool": "segment", "arguments": {"image": 1, "target": "nodule"},
    "content": "segment nodule in image 1: found on the left",
    "values": {"found": True, "target": "nodule", "patient_side": "left"},
}  # fmt: skip
INTAKE = {"id": "E1", "tool": "intake", "content": "image 1: modality CR",
          "values": {"modality": "CR"}, "arguments": {"image": 1}}  # fmt: skip


def session(answer: str, **fields: Any) -> str:
    told = {"evidence": (INTAKE, FOUND), "replies": 2, "valid": 2, "calls": 1} | fields
    return SessionRecord(answer=answer, **told).model_dump_json()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("Yes.", 1), ("No.", 0), ("", 0), ("Maybe.", 0), ("Yes, on the left.", 1)],
)
def test_closed_yes_or_no(answer: str, expected: float) -> None:
    asked = example("closed", "Is there a nodule?", answers=["yes"], options=["yes", "no"])
    assert closed_reward(answer, asked) == expected


def test_closed_letter() -> None:
    asked = example("closed", answers=["B"], options=["cyst", "mass"], kind="choice")
    assert closed_reward("B, because of its rim", asked) == 1
    assert closed_reward("A", asked) == 0


def test_open_words() -> None:
    # said: left, lung; true: left, upper, lung: precision 1, recall 2/3
    assert open_reward("left lung", example("open", answers=["left upper lung"])) == pytest.approx(
        0.8
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # reference 50 mm, tolerance 20 %: rungs at 2.5, 5, 10 and 20 mm
        ("50 mm", 1.0),
        ("52.5 mm", 1.0),
        ("53 mm", 0.75),
        ("56 mm", 0.5),
        ("6.1 cm", 0.25),
        ("71 mm", 0.0),
        ("large", 0.0),
        ("", 0.0),
    ],
)
def test_measurement(answer: str, expected: float) -> None:
    asked = example("measurement", "How long?", answers=["50"], unit="mm", tolerance=0.2)
    assert measurement_reward(answer, asked) == expected


def test_counts_are_exact() -> None:
    asked = example("measurement", "How many?", answers=["4"], quantity="count")
    assert (measurement_reward("four", asked), measurement_reward("5", asked)) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("answer", "boxes", "expected"),
    [
        ("[0, 0, 2, 2]", [[0, 0, 2, 2]], 1.0),
        ("It is at (1, 0, 3, 2).", [[0, 0, 2, 2]], 1 / 3),
        ("[0, 0, 2, 2] and [5, 5, 6, 6]", [[0, 0, 2, 2]], 1 / 2),
        ("[0, 0, 2, 2] [3, 3, 3, 3]", [[0, 0, 2, 2]], 1 / 2),  # a box without area hits nothing
        ("[0, 0, 2, 2]", [[0, 0, 2, 2], [5, 5, 6, 6]], 1 / 2),
        ("[9, 9, 8, 8]", [[0, 0, 2, 2]], 0.0),
        ("There is none.", [[0, 0, 2, 2]], 0.0),
        ("There is none.", [], 1.0),
        ("[0, 0, 2, 2]", [], 0.0),
        ("", [], 0.0),
    ],
)
def test_grounding(answer: str, boxes: list[list[float]], expected: float) -> None:
    assert grounding_reward(answer, example("grounding", boxes=boxes)) == pytest.approx(expected)


def test_boxes_are_read_from_the_answer_proper() -> None:
    assert boxes_in("<think>[1, 1, 2, 2]</think>[3, 3, 4, 4]") == [(3, 3, 4, 4)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Findings: Left effusion. No pneumothorax. Impression: Left effusion.", 1.0),
        # one of two statements: precision 1, recall 1/2
        ("Left effusion.", 2 / 3),
        # wrong side: one of two statements right
        ("Right effusion. No pneumothorax.", 1 / 2),
        ("", 0.0),
    ],
)
def test_report(answer: str, expected: float) -> None:
    asked = example("report", answers=["Findings: Left effusion. No pneumothorax."])
    assert report_reward(answer, asked) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Yes, there is a nodule on the left [E2].", 1.0),
        ("No, there is no nodule [E2].", 0.0),
        # right, but half of the claims are invented
        ("Yes, there is a nodule [E2]. There is an effusion [E2].", 0.5),
        ("", 0.0),
    ],
)
def test_tool_use(answer: str, expected: float) -> None:
    asked = example("tool_use", "Is there a nodule?", answers=["yes"], kind="closed")
    assert tool_use_reward(session(answer), asked) == pytest.approx(expected)


def test_a_guess_without_a_look_earns_nothing() -> None:
    asked = example("tool_use", "Is there a nodule?", answers=["yes"], kind="closed")
    guessed = session("Yes, there is a nodule.", evidence=(INTAKE,), calls=0)
    assert tool_use_reward(guessed, asked) == 0.0


def test_abstaining_earns_where_it_is_right() -> None:
    silent = session("There is not enough evidence.", abstained=True)
    asked = example("tool_use", "What was the dose?", abstain=True, answers=[])
    assert tool_use_reward(silent, asked) == 1.0
    assert tool_use_reward(session("It was 2 mGy [E2]."), asked) == 0.0
    assert tool_use_reward(silent, example("tool_use", answers=["yes"], kind="closed")) == 0.0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("There is a nodule on the left [E2].", 1.0),
        # E1 bears nothing: precision 1/2, recall 1
        ("There is a nodule on the left [E1][E2].", 2 / 3),
        ("There is a nodule on the left.", 0.0),
        # two claims, one cites: precision 1, recall 1/2
        ("There is a nodule [E2]. The nodule is on the left.", 2 / 3),
    ],
)
def test_citation(answer: str, expected: float) -> None:
    asked = example("tool_use", "What is there?", answers=["nodule"], kind="open")
    assert citation_reward(session(answer), asked) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("task", "answer", "reference", "expected"),
    [
        ("closed", "Yes.", {"answers": ["no"]}, 1.0),
        ("closed", "Perhaps.", {"answers": ["no"]}, 0.0),
        ("closed", "Yes. " + "word " * 60, {"answers": ["no"]}, 0.0),
        ("measurement", "3 mm", {"answers": ["9"], "unit": "mm"}, 1.0),
        ("measurement", "small", {"answers": ["9"], "unit": "mm"}, 0.0),
        ("grounding", "[0, 0, 1, 1]", {"boxes": [[5, 5, 6, 6]]}, 1.0),
        ("grounding", "top left", {"boxes": [[5, 5, 6, 6]]}, 0.0),
        ("grounding", "none", {"boxes": []}, 1.0),
        ("report", "Findings: Clear. Impression: Normal.", {"answers": ["x"]}, 1.0),
        ("report", "Clear.", {"answers": ["x"]}, 0.5),
        ("report", "", {"answers": ["x"]}, 0.0),
        ("open", "the liver", {"answers": ["x"]}, 1.0),
        ("tool_use", session("Yes [E2].", replies=4, valid=3), {"answers": ["x"]}, 0.75),
        ("tool_use", session("", replies=4, valid=3), {"answers": ["x"]}, 0.0),
    ],
)
def test_form(task: str, answer: str, reference: dict[str, Any], expected: float) -> None:
    assert form_reward(answer, example(task, **reference)) == expected


def test_every_reward_stays_within_bounds_on_odd_texts() -> None:
    texts = ("", " ", "[E1]" * 50, "yes no " * 200, "[1,2,3,4]" * 9, "-9e999 mm", "\\boxed{}")
    reference = {"answers": ["50"], "boxes": [[0, 0, 2, 2]], "unit": "mm"}
    for task, reward in REWARDS.items():
        asked = example(task, **reference)
        for text in texts:
            said = session(text) if task == "tool_use" else text
            assert 0.0 <= reward(said, asked) <= 1.0
            assert 0.0 <= form_reward(said, asked) <= 1.0


def test_question_stands_after_the_facts() -> None:
    assert question_of(example("closed", "Is it large?")) == "Is it large?"


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ConfigError, match="no reward for the task 'poem'"):
        reward_for("poem")
    with pytest.raises(InputError, match="'x1' of 'set' has no reference answer"):
        closed_reward("yes", example("closed"))
    with pytest.raises(InputError, match=r"no reference\.boxes"):
        grounding_reward("[1, 1, 2, 2]", example("grounding"))
    with pytest.raises(InputError, match="unknown kind 'riddle'"):
        open_reward("yes", example("open", answers=["x"], kind="riddle"))
    with pytest.raises(InputError, match="no session record"):
        tool_use_reward("Yes.", example("tool_use", answers=["yes"]))
