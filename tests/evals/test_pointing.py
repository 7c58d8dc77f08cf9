"""Items that are answered by pointing, from a table on disk to the records of a run."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from benchmark_files import png, write, write_lines
from scripted_model import ScriptedModel

from overread.agent.config import Config
from overread.evals.batch import Request, run_all
from overread.evals.benchmarks import load, prompt
from overread.evals.metrics.grounding import boxes_of
from overread.evals.records import Record
from overread.evals.runs import Run
from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate
from overread.imaging.phantoms import write as write_phantom

COCO = """
name = "coco-like"
title = "Boxes as COCO writes them"
licence = "CC0-1.0"
citation = "nobody"
splits = { files = ["*.jsonl"] }
default_split = "files"
ask = "Where is the nodule?"
columns = { id = ["id"], answer = ["bbox"], images = ["image"] }
kind = { fixed = "boxes" }
boxes = { form = "corner-size", unit = "share" }
metric = { boxes = "iou_at_0.5" }
"""


class Watch:
    def started(self, subject: str, done: int, total: int) -> None:
        return

    def recorded(self, record: Record) -> None:
        return


def run(
    data_dir: Path, place: Path, subjects: Sequence[str], planner: str = "", **fields: Any
) -> list[Run]:
    request = Request(
        **{"benchmark": "generic", "place": str(place), "subjects": tuple(subjects)}
        | {"out": place.parent / "runs"}
        | fields
    )
    config = Config(data_dir=data_dir, planner={"base_url": planner or None})
    return run_all(request, config, Watch(), start=lambda config: None)


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def steps(*replies: dict[str, Any]) -> Callable[[str], str]:
    left = iter(replies)
    return lambda question: json.dumps(next(left))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in "abcd":
        write(tmp_path / "own" / f"{name}.png", png(ord(name), size=(60, 40)))
    return tmp_path / "own"


def test_boxes_of_a_table_are_asked_parsed_and_scored(
    model: ScriptedModel, pictures: Path, data_dir: Path
) -> None:
    place = write_csv(
        pictures / "boxes.csv",
        [
            {"id": f"box-{name}", "question": f"Where is nodule {name}?", "kind": "boxes",
             "answer": answer, "image": f"{name}.png", "patient_id": f"p{name}"}
            for name, answer in {
                "a": "[10, 10, 20, 20]", "b": "0,0,10,10; 20,20,30,30", "c": "none",
                "d": "[[0, 0, 60, 40]]",
            }.items()
        ],
    )  # fmt: skip
    said = {
        "a": 'It is there: ```json\n[{"bbox_2d": [10, 10, 20, 15], "label": "nodule"}]\n```',
        "b": "Answer: (0, 0), (10, 10)",
        "c": "None.",
        "d": "In the middle.",
    }
    model.say = lambda words: next(
        text for name, text in said.items() if f"nodule {name}" in words
    )  # fmt: skip
    (done,) = run(data_dir, place, [f"endpoint:{model.url}#scripted"])
    found = {record.item.removeprefix("box-"): record for record in done.records}
    assert {record.status for record in done.records} == {"scored"}
    assert "in pixels of the image, which is 60 wide and 40 high" in model.questions[0]
    values = {name: (row.value, row.scores["iou_at_0.5"]) for name, row in found.items()}
    assert values == {
        "a": (0.5, 1.0),
        "b": (0.5, pytest.approx(2 / 3)),
        "c": (1.0, 1.0),
        "d": (0.0, 0.0),
    }
    assert [found[name].scores["unparsed"] for name in "abcd"] == [0, 0, 0, 1]
    assert (found["a"].parsed, found["c"].parsed, found["d"].parsed) == (
        "[[10.0, 10.0, 20.0, 15.0]]", "[]", None,
    )  # fmt: skip
    assert found["a"].reference == ("[[10.0, 10.0, 20.0, 20.0]]",)
    assert found["a"].main == "mean_iou"


def test_the_agent_is_scored_by_the_masks_that_it_cites(
    model: ScriptedModel, tmp_path: Path, data_dir: Path
) -> None:
    phantom = generate("chest-xray", 61881)
    file = write_phantom(phantom, tmp_path / "own")
    truth = boxes_of(phantom.masks["heart"])
    place = write_lines(
        tmp_path / "own" / "heart.jsonl",
        [{"id": "heart", "question": "Where is the heart?", "kind": "boxes", "answer": truth,
          "image": file.name}],
    )  # fmt: skip
    call = {"tool": "segment", "arguments": {"image": 1, "target": "heart"}}
    final = {"why": "found", "answer": "The heart is seen [E2]."}
    model.say = steps({"why": "look", "calls": [call]}, final, final)
    (done,) = run(data_dir, place, ["agent"], planner=model.url)
    (record,) = done.records
    assert record.status == "scored" and record.answer == "The heart is seen [E2]."
    assert record.value > 0.5 and record.scores["unparsed"] == 0
    (again,) = run(data_dir, place, ["agent"], planner=model.url, out=tmp_path / "again")
    assert again.records[0].scores == record.scores, "boxes are kept with the reply"


def test_a_spec_says_how_its_boxes_are_written(pictures: Path) -> None:
    toml = str(write(pictures.parent / "coco-like.toml", COCO))
    rows = [{"id": "1", "image": "a.png", "bbox": [0.5, 0.25, 0.25, 0.5]},
            {"id": "2", "image": "b.png", "bbox": []}]  # fmt: skip
    found = load(toml, write_lines(pictures / "x.jsonl", rows))
    one, none = found.items
    assert one.kind == "boxes" and one.extra["boxes"] == [(30.0, 10.0, 45.0, 30.0)]
    assert one.answers == ("[[30.0, 10.0, 45.0, 30.0]]",)
    assert none.extra["boxes"] == [] and none.extra["size"] == (60, 40)
    assert prompt(one, found.spec).startswith("Where is the nodule?\nAnswer with a box")


@pytest.mark.parametrize(
    ("answer", "image", "why"),
    [
        ([1, 2, 3], "a.png", "one of its boxes has 3 numbers"),
        ([10, 10, 10, 20], "a.png", "has no area"),
        ([10, 10, 90, 20], "a.png", "leaves the image of 60 columns and 40 rows"),
        (["left", 1, 2, 3], "a.png", "its boxes are not numbers"),
        ("", "a.png", "write none where there is no box"),
        (7, "a.png", "its answer holds no boxes"),
        ([0, 0, 1, 1], "a.png;b.png", "it has 2 images; boxes are of one image"),
    ],
)
def test_boxes_that_cannot_be_are_refused_with_the_reason(
    pictures: Path, answer: Any, image: str, why: str
) -> None:
    row = {"id": "x", "question": "Where?", "kind": "boxes", "answer": answer, "image": image}
    with pytest.raises(InputError, match=why):
        load("generic", write_lines(pictures / "x.jsonl", [row]))


def speckled(path: Path, kind: int, noise: int) -> Path:
    """One of some patterns, with a little noise of its own."""
    pattern = np.random.default_rng(kind).integers(0, 200, (8, 8)).repeat(16, 0).repeat(16, 1)
    noisy = pattern + np.random.default_rng(1000 + noise).integers(0, 6, pattern.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(noisy.astype(np.uint8)).save(path)
    return path


def test_cases_of_a_table_are_ranked_without_the_query_s_own(
    model: ScriptedModel, tmp_path: Path, data_dir: Path
) -> None:
    """Three patterns, each of two patients; the first patient's study has a second image."""
    studies = [("s0", "p0", 0), ("s0", "p0", 0), ("s1", "p1", 0), ("s2", "p2", 1), ("s3", "p3", 1),
               ("s4", "p4", 2), ("s5", "p5", 2)]  # fmt: skip
    partner = {"s0": "s1", "s1": "s0;s0", "s2": "s3", "s3": "s2", "s4": "s5", "s5": "s4; s0"}
    rows = []
    for number, (study, patient, kind) in enumerate(studies):
        picture = speckled(tmp_path / "own" / f"{number}.png", kind, number)
        rows.append(
            {"id": f"q{number}", "question": "Find similar cases.", "kind": "retrieval",
             "answer": partner[study], "image": picture.name, "study_id": study,
             "patient_id": patient}
        )  # fmt: skip
    place = write_csv(tmp_path / "own" / "cases.csv", rows)
    ranked, bare = run(data_dir, place, ["knn", f"endpoint:{model.url}#scripted"])
    assert {record.status for record in ranked.records} == {"scored"}
    for record, (study, _, _) in zip(ranked.records, studies, strict=True):
        cases = (record.parsed or "").split(", ")
        assert study not in cases and len(cases) == len(set(cases)) == 5
        assert cases[0] == partner[study].split(";")[0]
        assert record.main == "map"
    values = {record.item: record for record in ranked.records}
    assert [values[f"q{n}"].value for n in range(6)] == [1.0] * 6
    assert values["q6"].scores["recall_at_1"] == 0.5 and 0.5 < values["q6"].value <= 1
    assert {record.status for record in bare.records} == {"failed"}
    assert "gave no ranking of cases" in bare.records[0].reason
