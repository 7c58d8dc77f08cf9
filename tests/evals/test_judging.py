"""A judge in a run: real servers for the model and for the judge; only their words are prepared."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmark_files import write, write_lines
from scripted_model import ScriptedModel

from overread.agent.config import Config
from overread.evals.batch import Request, run_all
from overread.evals.records import Record
from overread.evals.run_spec import RUN_FILE, RunSpec
from overread.evals.runs import Run, read_run
from overread.imaging.errors import InputError, PlannerUnavailable

ROWS = [
    {"id": "blister", "question": "What is it?", "answer": "a cyst", "kind": "open"},
    {"id": "growth", "question": "What is there?", "answer": "a mass", "kind": "open"},
    {"id": "seen", "question": "Is it seen?", "answer": "yes", "images": []},
]
SAID = {"What is it": "A fluid-filled cavity.", "What is there": "Nothing.", "Is it seen": "Yes."}

JUDGED_BY_A_JUDGE = """
name = "judged"
title = "Judged"
licence = "CC0-1.0"
citation = "nobody"
splits = { files = ["*.jsonl"] }
default_split = "files"
images = { optional = true }
columns = { id = ["id"], question = "question", answer = ["answer"] }
metric = { open = "judge", closed = "accuracy" }
"""


class Watch:
    def started(self, subject: str, done: int, total: int) -> None:
        return

    def recorded(self, record: Record) -> None:
        return


def verdict(words: str) -> str:
    """Judge that a cavity is a cyst, and that nothing is no mass."""
    return json.dumps({"reason": "As the rubric says.", "correct": "cavity" in words})


@pytest.fixture
def answering() -> Iterator[ScriptedModel]:
    server = ScriptedModel(lambda words: next(a for q, a in SAID.items() if q in words))
    yield server
    server.stop()


@pytest.fixture
def judging() -> Iterator[ScriptedModel]:
    server = ScriptedModel(verdict)
    yield server
    server.stop()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "own" / "questions.jsonl", ROWS)


def run(data_dir: Path, table: Path, out: Path, answering: ScriptedModel, **fields: Any) -> Run:
    request = Request(
        **{"benchmark": "generic", "place": str(table), "out": out, "patience_s": 5.0}
        | {"subjects": (f"endpoint:{answering.url}#scripted",)}
        | fields
    )
    (done,) = run_all(request, Config(data_dir=data_dir), Watch())
    return done


def by_item(run: Run) -> dict[str, Record]:
    return {record.item: record for record in run.records}


def test_open_answers_are_judged_beside_their_metrics(
    answering: ScriptedModel, judging: ScriptedModel, table: Path, tmp_path: Path, data_dir: Path
) -> None:
    judge = f"{judging.url}#wise"
    done = run(data_dir, table, tmp_path / "runs", answering, judge=judge)
    found = by_item(done)
    assert found["blister"].scores["judge"] == 1 and found["growth"].scores["judge"] == 0
    assert found["blister"].main == "token_f1" and found["blister"].value == 0
    assert "judge" not in found["seen"].scores, "a closed question needs no judge"
    assert not any(record.failed_scores for record in done.records)
    assert {(request["model"], request["temperature"], request["seed"])
            for request in judging.asked} == {("wise", 0, 0)}  # fmt: skip
    assert len(judging.asked) == 2
    spec = read_run(done.folder).spec
    assert spec.judge is not None
    assert (spec.judge["url"], spec.judge["model"]) == (judging.url, "wise")
    assert spec.judge["rubric"].startswith("1@")


def test_verdicts_are_kept_under_all_that_decides_them(
    answering: ScriptedModel, judging: ScriptedModel, table: Path, tmp_path: Path, data_dir: Path
) -> None:
    judge = f"{judging.url}#wise"
    first = run(data_dir, table, tmp_path / "one", answering, judge=judge)
    again = run(data_dir, table, tmp_path / "two", answering, judge=judge)
    assert [r.scores for r in again.records] == [r.scores for r in first.records]
    assert len(judging.asked) == 2
    run(data_dir, table, tmp_path / "three", answering, judge=f"{judging.url}#other")
    assert len(judging.asked) == 4
    other = ROWS[0] | {"answer": "a cystic lesion"}
    write_lines(table, [other, *ROWS[1:]])
    run(data_dir, table, tmp_path / "four", answering, judge=judge)
    assert len(judging.asked) == 5
    run(data_dir, table, tmp_path / "five", answering, judge=judge, fresh=True)
    assert len(judging.asked) == 7


@pytest.mark.parametrize(
    ("reply", "reason"), [(400, "gave no reply"), ("It is right.", "gave no verdict but")]
)
def test_a_judge_that_fails_is_told_and_counts_for_nothing(
    answering: ScriptedModel, judging: ScriptedModel, table: Path, tmp_path: Path, data_dir: Path,
    reply: str | int, reason: str,
) -> None:  # fmt: skip
    judging.say = lambda words: reply if "What is it?" in words else verdict(words)
    judge = f"{judging.url}#wise"
    found = by_item(run(data_dir, table, tmp_path / "runs", answering, judge=judge))
    failed = found["blister"]
    assert failed.status == "scored" and "judge" not in failed.scores
    assert reason in failed.failed_scores["judge"]
    assert found["growth"].scores["judge"] == 0
    judging.say = verdict
    mended = by_item(run(data_dir, table, tmp_path / "again", answering, judge=judge))
    assert mended["blister"].scores["judge"] == 1, "a failure is not kept"


def test_a_judge_may_decide_and_its_failure_is_then_the_item_s(
    answering: ScriptedModel, judging: ScriptedModel, table: Path, tmp_path: Path, data_dir: Path
) -> None:
    toml = str(write(tmp_path / "judged.toml", JUDGED_BY_A_JUDGE))
    with pytest.raises(InputError, match=r"a judge decides .*; add --judge URL#MODEL"):
        run(data_dir, table, tmp_path / "runs", answering, benchmark=toml)
    judging.say = lambda words: 400 if "What is there?" in words else verdict(words)
    judge = f"{judging.url}#wise"
    done = run(data_dir, table, tmp_path / "runs", answering, benchmark=toml, judge=judge)
    found = by_item(done)
    assert (found["blister"].main, found["blister"].value) == ("judge", 1)
    assert found["growth"].status == "failed" and "gave no reply" in found["growth"].reason
    assert found["seen"].main == "accuracy"


def test_a_judge_that_stays_away_stops_the_run_and_loses_no_item(
    answering: ScriptedModel, judging: ScriptedModel, table: Path, tmp_path: Path, data_dir: Path
) -> None:
    judge, out = f"{judging.url}#wise", tmp_path / "runs"
    judging.stop()
    with pytest.raises(PlannerUnavailable, match=r"the judge at .* --resume"):
        run(data_dir, table, out, answering, judge=judge, patience_s=1.0, concurrency=1)
    asked = len(answering.asked)
    judging.start()
    done = run(data_dir, table, out, answering, judge=judge, resume=True)
    assert done.is_complete and len(done.records) == len(ROWS)
    assert by_item(done)["blister"].scores["judge"] == 1
    assert asked >= 1 and len(answering.asked) == len(ROWS), "replies were kept"


def test_a_run_goes_on_with_its_own_judge_alone(
    answering: ScriptedModel, judging: ScriptedModel, table: Path, tmp_path: Path, data_dir: Path
) -> None:
    out, judge = tmp_path / "runs", f"{judging.url}#wise"
    run(data_dir, table, out, answering, judge=judge)
    with pytest.raises(InputError, match=r"its judge is wise, rubric .*, not none"):
        run(data_dir, table, out, answering, resume=True)
    with pytest.raises(InputError, match=r"its judge is wise, rubric .*, not other"):
        run(data_dir, table, out, answering, resume=True, judge=f"{judging.url}#other")
    run(data_dir, table, out, answering, resume=True, judge=judge)


def test_a_run_from_before_there_were_judges_goes_on(
    answering: ScriptedModel, table: Path, tmp_path: Path, data_dir: Path
) -> None:
    done = run(data_dir, table, tmp_path / "runs", answering)
    file = done.folder / RUN_FILE
    old = json.loads(file.read_text())
    assert old.pop("judge") is None
    file.write_text(json.dumps(old))
    records = done.folder / "records.jsonl"
    added = ("parsed", "options", "failed_scores")
    rows = [json.loads(line) for line in records.read_text().splitlines()]
    kept = [{name: row[name] for name in row if name not in added} for row in rows]
    write_lines(records, kept[:1])
    assert RunSpec.model_validate(old).judge is None
    again = run(data_dir, table, tmp_path / "runs", answering, resume=True)
    assert again.is_complete
    assert [r.scores for r in again.records] == [r.scores for r in done.records]


@pytest.mark.parametrize("judge", ["http://host/v1", "host#m", "http://host/v1#", "ftp://h#m"])
def test_a_judge_is_a_url_and_a_model(
    answering: ScriptedModel, table: Path, tmp_path: Path, data_dir: Path, judge: str
) -> None:
    with pytest.raises(InputError, match="must be URL#MODEL"):
        run(data_dir, table, tmp_path / "runs", answering, judge=judge)
    assert not (tmp_path / "runs").exists()
