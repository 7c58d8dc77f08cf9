import json
from pathlib import Path

import numpy as np
import pytest

from overread.evals.benchmarks import load, prompt
from overread.evals.benchmarks.ages import age_group
from overread.evals.marking import mark
from overread.evals.metrics.answers import score_answer
from overread.evals.metrics.grounding import boxes_of
from overread.evals.subjects.base import Reply
from overread.imaging.errors import InputError
from overread.imaging.phantoms import sample, split_of
from overread.imaging.sniff import Kind, kind_of


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def test_phantoms_are_held_out_written_and_asked_as_they_are(work: Path) -> None:
    found = load("phantoms", limit=14, work=work)
    assert len(found.items) == 14 and found.split == "test"
    assert {split_of(item.cluster) for item in found.items} == {"test"}
    assert len({item.slices["domain"] for item in found.items}) == 7
    assert len({item.slices["content_type"] for item in found.items}) >= 5
    for item in found.items:
        assert item.kind in ("closed", "number", "open")
        assert prompt(item, found.spec) == item.question
        marks = score_answer(item, item.answers[0])
        assert marks.values[marks.main] == 1, item
        assert marks.main == found.spec.metric[item.kind]
    assert {kind_of(item.images[0]) for item in found.items} == {Kind.DICOM, Kind.PNG}


def test_who_was_imaged_and_on_what_can_be_compared(work: Path) -> None:
    items = load("phantoms", limit=14, work=work).items
    assert {item.slices["age_group"] for item in items} <= {"18-39", "40-64", "65+"}
    assert {item.slices["sex"] for item in items} == {"F", "M"}
    assert {item.slices["scanner"] for item in items} == {"known", "held out"}
    for phantom in sample("test", 3, 0):
        (item,) = [item for item in items if item.id.startswith(f"{phantom.study_id}-")]
        assert item.slices["age_group"] == age_group(phantom.age)


def test_they_are_drawn_once_and_fewer_are_the_first_of_more(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = load("phantoms", limit=14, work=work).items
    monkeypatch.setattr("overread.evals.benchmarks.generated.questions", None)
    assert load("phantoms", limit=14, work=work).items == more
    few = load("phantoms", limit=5, work=work).items
    assert {item.id for item in few} < {item.id for item in more}


def test_a_lost_file_or_a_damaged_list_is_drawn_again(work: Path) -> None:
    items = load("phantoms", limit=3, seed=5, work=work).items
    fingerprints = [item.fingerprint() for item in items]
    items[0].images[0].unlink()
    assert [i.fingerprint() for i in load("phantoms", limit=3, seed=5, work=work).items] == (
        fingerprints
    )
    next(work.rglob("test-5-*/items.jsonl")).write_text("{")
    assert load("phantoms", limit=3, seed=5, work=work).items == items


def test_the_questions_are_those_of_the_earlier_command() -> None:
    from overread.evals.benchmarks.generated import questions
    from overread.evals.phantom_questions import questions as earlier

    ours = [(phantom.study_id, row) for phantom, row in questions(4, 0, "test")]
    assert ours == [(phantom.study_id, row) for phantom, row in earlier(4)]


def test_readings_are_reports_and_boxes_that_mark_themselves_right(work: Path) -> None:
    found = load("phantom-readings", limit=14, work=work)
    assert {split_of(item.cluster) for item in found.items} == {"test"}
    kinds = [item.kind for item in found.items]
    assert kinds.count("report") == kinds.count("boxes") == 7
    for item in found.items:
        words = item.answers[0] if item.kind == "report" else json.dumps(item.extra["boxes"])
        marks = mark(item, Reply(words))
        assert marks.values[marks.main] == 1, item
        assert marks.main == found.spec.metric[item.kind]
    boxed = next(item for item in found.items if item.kind == "boxes" and item.extra["boxes"])
    left, top, right, bottom = boxed.extra["boxes"][0]
    columns, rows = boxed.extra["size"]
    assert 0 <= left < right <= columns and 0 <= top < bottom <= rows
    assert f"{columns} wide and {rows} high" in prompt(boxed, found.spec)


def test_objects_that_touch_at_a_corner_share_a_box() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1, 4] = mask[2, 5] = mask[0:2, 0] = True
    assert boxes_of(mask) == [(0, 0, 1, 2), (4, 1, 6, 3)]


def test_other_splits_are_for_baselines_and_share_no_patient(work: Path) -> None:
    train = load("phantoms", split="train", limit=3, work=work).items
    assert {split_of(item.cluster) for item in train} == {"train"}
    with pytest.raises(InputError, match="no split 'dev'; it has train, validation, test"):
        load("phantoms", split="dev", work=work)
