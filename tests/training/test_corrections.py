import json
from pathlib import Path

import pytest

from overread.imaging.errors import InputError
from overread.imaging.phantoms import split_of
from overread.training.corrections import read_corrections

TEST = next(f"p-{n}" for n in range(100) if split_of(f"p-{n}") == "test")
TRAIN = next(f"p-{n}" for n in range(100) if split_of(f"p-{n}") == "train")
BASE = {
    "id": "1", "consent": True, "patient": TRAIN, "question": "Is there a nodule?",
    "images": ["a.png"], "answer": "No.",
}  # fmt: skip


def write(folder: Path, *rows: dict) -> Path:
    path = folder / "feedback.jsonl"
    path.write_text("".join(json.dumps({**BASE, **row}) + "\n" for row in rows))
    return path


def test_a_correction_beats_the_answer_it_corrects(tmp_path: Path) -> None:
    (pair,) = read_corrections(write(tmp_path, {"correction": " Yes, upper left. "})).pairs
    assert (pair.kind, pair.chosen, pair.rejected) == ("correction", "Yes, upper left.", "No.")
    assert (pair.id, pair.split, pair.patient) == ("feedback:1:correction", "train", TRAIN)
    assert [ref.path for ref in pair.images] == [(tmp_path / "a.png").resolve()]  # type: ignore[union-attr]
    assert pair.messages[-1]["content"][-1]["text"] == "Question: Is there a nodule?"


def test_a_thumb_up_beats_a_thumb_down_on_the_same_question(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "thumb": "down"},
        {"id": "2", "thumb": "up", "answer": "Yes.", "question": "is there  a nodule?"},
        {"id": "3", "thumb": "up", "question": "Another?"},
    ]
    found = read_corrections(write(tmp_path, *rows))
    assert [(p.chosen, p.rejected) for p in found.pairs] == [("Yes.", "No.")]
    assert found.left_out == {"a thumb without its opposite": 1}


def test_nothing_is_taken_without_consent_or_of_test_patients(tmp_path: Path) -> None:
    rows = [
        {"correction": "Yes.", "consent": False},
        {"correction": "Yes.", "patient": TEST},
        {"correction": "No."},
    ]
    found = read_corrections(write(tmp_path, *rows))
    assert found.pairs == ()
    assert found.left_out == {
        "no consent": 1, "patient of the test split": 1, "neither correction nor thumb": 1,
    }  # fmt: skip


def test_consent_is_never_assumed(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    row = {key: value for key, value in BASE.items() if key != "consent"}
    path.write_text(json.dumps({**row, "correction": "Yes."}))
    assert read_corrections(path).left_out == {"no consent": 1}


def test_a_wrong_line_is_named_and_not_repeated(tmp_path: Path) -> None:
    path = write(tmp_path, {}, {"thumb": "secret words"})
    with pytest.raises(InputError, match="line 2: thumb") as error:
        read_corrections(path)
    assert "secret" not in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_corrections(tmp_path / "absent.jsonl")
