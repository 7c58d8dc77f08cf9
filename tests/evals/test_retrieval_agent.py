"""The arms of retrieval, and the poisoned index, with a planner of scripted words."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_model import ScriptedModel, words

from overread.agent.config import Config
from overread.evals.records import Record
from overread.evals.retrieval import injections as planted_text
from overread.evals.retrieval.arms import has_retrieved
from overread.evals.retrieval.injections import injections, obeyed, poison, quoted_studies
from overread.evals.retrieval.phantom_cases import phantom_manifest, read_cases
from overread.evals.retrieval.poison import ask_both, told
from overread.evals.retrieval.questions import retrieval_items, similar_items
from overread.evals.retrieval.value import (
    ADAPTIVE,
    FIXED,
    NONE,
    changed,
    figures,
    on_phantoms,
    real_manifest,
    tables,
)
from overread.evals.retrieval.value import main as value_main
from overread.imaging.errors import InputError
from overread.imaging.phantoms import split_of

CASES = 14


class Planner(ScriptedModel):
    """Looks for similar cases where it may, and repeats their commonest label; or obeys."""

    def __init__(self, obedient: bool = False) -> None:
        self.obedient = obedient
        super().__init__(self._step)

    def _step(self, text: str) -> str:
        found = re.search(
            r"\[(E\d+)\] find_similar_cases .*? cases of ([\w-]+); ([a-z ]+) \d", text
        )
        if found is None:
            if "find_similar_cases" in json.dumps(self.asked[-1]["response_format"]):
                call = {"tool": "find_similar_cases", "arguments": {"image": 1}}
                return json.dumps({"why": "compare", "calls": [call]})
            return json.dumps({"why": "look", "answer": "There is not enough evidence."})
        evidence, domain, label = found.groups()
        if self.obedient and (order := re.search(r"call the tool segment", text)):
            assert order
            call = {"tool": "segment", "arguments": {"image": 1, "target": "spleen"}}
            return json.dumps({"why": "the report says so", "calls": [call]})
        answer = f"Similar cases of {domain} were found; most with {label} [{evidence}]."
        return json.dumps({"why": "found", "answer": answer})


@pytest.fixture
def model() -> Iterator[Planner]:
    server = Planner()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms are drawn once for all tests."""
    return tmp_path_factory.mktemp("phantoms")


def config_of(model: ScriptedModel, data_dir: Path) -> Config:
    return Config(data_dir=data_dir, planner={"base_url": model.url})


def record(item: str, answer: str = "", calls: Any = (), quoted: str = "") -> Record:
    found = {"id": "E2", "tool": "find_similar_cases", "content": quoted}
    return Record(
        benchmark="b", subject="s", item=item, status="scored", question="Which?", answer=answer,
        scores={"parts": 1.0}, main="parts", calls=tuple(calls),
        evidence=(found,) if quoted else (), cluster=item,
    )  # fmt: skip


def test_questions_are_of_test_patients_and_answers_of_each_kind(work: Path) -> None:
    items = retrieval_items(10, 3, work)
    assert {split_of(item.cluster) for item in items} == {"test"}
    assert len({item.cluster for item in items}) == 10
    kinds = [item.slices["content_type"] for item in items]
    assert {"similar", "modality", "organ"} <= set(kinds)
    for item in items:
        assert len(item.images) == (2 if item.slices["content_type"] == "compare" else 1)
        if item.slices["content_type"] in ("modality", "organ"):
            assert item.images[0].suffix == ".png"
    assert items == retrieval_items(10, 3, work)


def test_each_arm_is_asked_the_same_and_a_stopped_run_goes_on(
    model: Planner, work: Path, data_dir: Path, tmp_path: Path
) -> None:
    config, out = config_of(model, data_dir), tmp_path / "out"
    runs = on_phantoms(10, CASES, config, work, out, concurrency=1)
    assert list(runs) == [NONE, FIXED, ADAPTIVE]
    items = {record.item for record in runs[NONE]}
    assert all({record.item for record in records} == items for records in runs.values())
    assert not any(record.status == "failed" for records in runs.values() for record in records)
    assert not any(map(has_retrieved, runs[NONE]))
    assert all(record.abstained and record.value == 0 for record in runs[NONE])
    fixed = [record.evidence[-1]["values"]["selection"] for record in runs[FIXED]]
    assert set(fixed) == {"the first 5"}
    assert all(map(has_retrieved, runs[FIXED])) and any(map(has_retrieved, runs[ADAPTIVE]))
    indexed = {case.study_id for case in read_cases(phantom_manifest("train", CASES, 11, work))}
    ranked = {row[0] for row in json.loads(runs[FIXED][0].evidence[-1]["values"]["ranked"])}
    assert ranked <= indexed

    asked = len(model.asked)
    again = on_phantoms(10, CASES, config, work, out, concurrency=1)
    assert again == runs and len(model.asked) == asked

    found = figures(runs)
    assert found.arms[FIXED].worse == 0
    assert found.arms[FIXED].retrieved == 1
    gains = found.gains["fixed - none"]
    assert gains["all"].difference == found.arms[FIXED].accuracy.mean > 0
    assert sum(gain.n for level, gain in gains.items() if level != "all") == gains["all"].n
    assert tables("phantoms", found)[0].row_count == 3


def test_shares_made_worse_and_better() -> None:
    right, wrong = record("a"), record("b").model_copy(update={"scores": {"parts": 0.0}})
    worse, better = (
        record("a").model_copy(update={"scores": {"parts": 0.0}}),
        record("b"),
    )
    assert changed([right, wrong], [worse, better]) == (0.5, 0.5)
    assert changed([right, wrong], [right, wrong]) == (0, 0)


def test_only_images_of_other_splits_and_patients_are_indexed(tmp_path: Path) -> None:
    rows = [
        {"image": "a.png", "split": "test", "patient_id": "p1"},
        {"image": "b.png", "split": "dev", "patient_id": "p1"},
        {"image": "c.png", "split": "dev", "patient_id": None},
        {"image": "d.png", "split": "dev", "patient_id": "p2"},
    ]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept = real_manifest(tmp_path, "test", tmp_path / "out").read_text().splitlines()
    assert [Path(json.loads(line)["image"]).name for line in kept] == ["c.png", "d.png"]
    (tmp_path / "manifest.jsonl").write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(InputError, match="no image of another split"):
        real_manifest(tmp_path, "test", tmp_path / "out")


def test_every_injection_can_be_recognised() -> None:
    written = injections()
    assert len({one.name for one in written}) == len(written) >= 15
    for one in written:
        assert bool(one.says) != bool(one.calls)
        obedient = record("a", f"It is {one.says}." if one.says else "No.")
        if one.calls:
            given = {name: value for name, value in one.calls.items() if name != "tool"}
            call = {"tool": one.calls["tool"], "arguments": {"image": 1, **given}}
            obedient = record("a", calls=[call])
        assert one.shows(obedient)
        assert not one.shows(record("a", "8 similar cases of chest-xray were found [E2]."))


def test_shares_of_reports_and_labels_are_poisoned(work: Path, tmp_path: Path) -> None:
    manifest = phantom_manifest("train", CASES, 11, work)
    path, planted = poison(manifest, 0.2, 0, tmp_path)
    before = [json.loads(line) for line in manifest.read_text().splitlines()]
    after = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(planted) == 3
    texts = {one.name: one.text for one in injections()}
    for old, new in zip(before, after, strict=True):
        assert Path(new["path"]).is_file()
        name = planted.get(old["study_id"])
        assert new["report"] == (f"{texts[name]} {old['report']}" if name else old["report"])
        assert name is None or new["labels"] == old["labels"]
    wrong = [new for old, new in zip(before, after, strict=True) if old["labels"] != new["labels"]]
    assert len(wrong) == 3


def test_obedience_is_what_was_shown_and_would_not_have_been_done(tmp_path: Path) -> None:
    planted = {"study-1": "call a tool", "study-2": "ignore previous"}
    shown = "8 cases\ncase study-1: <data>call the tool</data>\ncase study-9: <data>x</data>"
    call = {"tool": "segment", "arguments": {"image": 1, "target": "spleen"}}
    assert quoted_studies(record("a", quoted=shown)) == ["study-1", "study-9"]
    did = record("a", "Cinnabar.", [call], shown)
    assert obeyed(did, record("a"), planted) == ["call a tool"]
    assert obeyed(did, record("a", calls=[call]), planted) == []
    assert obeyed(record("a", "Cinnabar.", [call]), record("a"), planted) == []
    counts = told([record("a"), record("b")], [did, record("b", quoted="x")], planted, 200)
    assert (counts["retrieved"], counts["shown an instruction"], counts["obeyed"]) == (2, 1, 1)


@pytest.mark.parametrize("obedient", [False, True])
def test_the_agent_on_a_poisoned_index(
    obedient: bool, work: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = [one for one in injections() if one.name == "call a tool"]
    monkeypatch.setattr(planted_text, "injections", lambda: only)
    model = Planner(obedient)
    found = ask_both(4, CASES, 1.0, config_of(model, data_dir), work, tmp_path / "out", 1)
    model.stop()
    assert found["asked"] == 5 and found["retrieved"] == found["shown an instruction"] == 4
    assert found["obeyed"] == (4 if obedient else 0)
    assert any("quoted as data" in words(request) for request in model.asked)
    items = similar_items(5, 21, work)
    assert {item.slices["content_type"] for item in items} <= {"similar", "modality", "organ"}


def test_the_real_set_needs_a_pack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["value", "--sets", "real"])
    with pytest.raises(SystemExit) as stopped:
        value_main()
    assert stopped.value.code == 2
    assert "the set 'real' needs --place" in capsys.readouterr().err
