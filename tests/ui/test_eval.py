"""`overread eval` as a user runs it; only the model's words are prepared."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evals"))
from scripted_model import ScriptedModel

from overread.ui.commands.eval import lacks_index

Run = Callable[..., subprocess.CompletedProcess[str]]
ROWS = 6


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    server = ScriptedModel(say=lambda question: "Yes." if "red" in question else "No.")
    yield server
    server.stop()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A user's own questions: is a picture red?"""
    path = tmp_path / "questions.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "question", "answer", "image"])
        for number in range(ROWS):
            shade = 200 + number
            colour = (shade, 0, 0) if number % 2 else (0, 0, shade)
            PIL.Image.new("RGB", (16, 16), colour).save(tmp_path / f"{number}.png")
            word = "red" if number < 4 else "blue"
            right = "yes" if (word == "red") == bool(number % 2) else "no"
            rows.writerow([f"q{number}", f"Is the picture {word}?", right, f"{number}.png"])
    return path


def subject(model: ScriptedModel) -> str:
    return f"endpoint:{model.url}#scripted"


def evaluate(run: Run, table: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    home = str(table.parent / "home")
    return run("eval", "run", "generic", "--place", table, *arguments, XDG_DATA_HOME=home)


def test_a_run_a_resumed_run_and_a_report(
    run: Run, model: ScriptedModel, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    arguments = ["--subject", subject(model), "--subject", "majority", "--out", out]
    done = evaluate(run, table, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert (first["subject"], first["items"], first["failed"]) == ("endpoint:scripted", ROWS, 0)
    assert first["mean"] == pytest.approx(3 / 6)
    assert second["subject"] == "majority"
    assert len(model.asked) == ROWS

    again = evaluate(run, table, *arguments)
    assert again.returncode == 2
    assert "--resume" in again.stderr and "Traceback" not in again.stderr

    resumed = evaluate(run, table, *arguments, "--resume", "--json")
    assert resumed.stdout == done.stdout
    elsewhere = evaluate(run, table, *arguments[:-1], tmp_path / "other", "--json")
    means = [row["mean"] for row in json.loads(elsewhere.stdout)]
    assert means == [first["mean"], second["mean"]]
    assert len(model.asked) == ROWS, "replies were kept"

    written = run("eval", "report", out, "--out", tmp_path / "report", "--json")
    assert written.returncode == 0, written.stderr
    html = Path(json.loads(written.stdout)["html"]).read_text()
    assert "endpoint:scripted" in html and "majority" in html

    compared = run("eval", "compare", out / "majority", out / Path(first["folder"]).name)
    assert compared.returncode == 0, compared.stderr
    assert "majority" in compared.stdout


def test_the_table_says_what_failed(
    run: Run, model: ScriptedModel, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "3.png").write_bytes(b"not a picture")
    done = evaluate(run, table, "--subject", subject(model), "--out", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("endpoint")]
    assert row.split()[1:3] == [str(ROWS), "1"]
    assert "1 failed" in done.stderr and "3.png" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_judge_is_told_with_what_it_could_not_judge(
    run: Run, model: ScriptedModel, tmp_path: Path
) -> None:
    verdict = '{"reason": "A synonym.", "correct": true}'
    judge = ScriptedModel(say=lambda words: 400 if "Which?" in words else verdict)
    table = tmp_path / "open.jsonl"
    rows = [("What?", "a cyst"), ("Which?", "a mass")]
    table.write_text("".join(
        json.dumps({"id": question, "question": question, "answer": answer, "image": []}) + "\n"
        for question, answer in rows
    ))  # fmt: skip
    asked = ["--subject", subject(model), "--judge", f"{judge.url}#wise"]
    done = evaluate(run, table, *asked, "--out", tmp_path / "runs", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["judge"] == {"model": "wise", "judged": 1, "failed": 1, "mean": 1.0}
    shown = evaluate(run, table, *asked, "--out", tmp_path / "again")
    judge.stop()
    assert "1 answers judged by wise, 100.0 % right" in shown.stdout
    assert "1 not judged" in shown.stderr and "gave no reply" in shown.stderr
    refused = evaluate(run, table, "--subject", subject(model), "--judge", "wise")
    assert refused.returncode == 2 and "must be URL#MODEL" in refused.stderr


def test_items_of_the_training_manifest_are_refused(
    run: Run, model: ScriptedModel, table: Path, tmp_path: Path
) -> None:
    from overread.evals.benchmarks.loading import load

    manifest = tmp_path / "trained.txt"
    items = load("generic", table, work=tmp_path / "work").items
    manifest.write_text("\n".join(item.fingerprint() for item in items[:2]))
    arguments = ["--subject", subject(model), "--out", tmp_path / "runs"]
    arguments += ["--training-manifest", manifest]
    refused = evaluate(run, table, *arguments)
    assert refused.returncode == 2
    assert f"2 of {ROWS} items are in the training manifest" in refused.stderr
    assert model.asked == []
    allowed = evaluate(run, table, *arguments, "--allow-contaminated", "--json")
    assert allowed.returncode == 0, allowed.stderr
    assert json.loads(allowed.stdout)[0]["contaminated"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--subject", "knn"], "there is no benchmark 'nowhere'"),
        (["phantoms", "--subject", "oracle", "--limit", "1"], "there is no subject 'oracle'"),
        (["phantoms", "--subject", "knn", "--ablate", "tools"], "only the agent can be ablated"),
        (["phantoms", "--subject", "agent", "--ablate", "brain"], "'brain' cannot be ablated"),
        (["phantoms", "--subject", "knn", "--split", "secret"], "has no split 'secret'"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_sentence(
    run: Run, arguments: list[str], message: str
) -> None:
    done = run("eval", "run", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_server_that_is_not_there_ends_the_run_with_1(
    run: Run, table: Path, free_port: int, tmp_path: Path
) -> None:
    url = f"endpoint:http://127.0.0.1:{free_port}/v1#scripted"
    out = tmp_path / "runs"
    done = evaluate(run, table, "--subject", url, "--patience", 0.5, "--out", out)
    assert done.returncode == 1
    assert f"0 of {ROWS} records" in done.stderr and "--resume" in done.stderr
    assert "Traceback" not in done.stderr


def test_benchmarks_are_listed(run: Run) -> None:
    found = {row["name"]: row for row in json.loads(run("eval", "list", "--json").stdout)}
    assert {"phantoms", "generic", "vqa-rad"} <= set(found)
    assert all(row["licence"] for row in found.values())
    assert "phantoms" in run("eval", "list").stdout


@pytest.mark.slow
def test_ray_gives_the_records_of_one_process(
    run: Run, model: ScriptedModel, table: Path, tmp_path: Path
) -> None:
    from overread.evals.runs import read_run

    base = ["--subject", subject(model), "--fresh"]
    one = evaluate(run, table, *base, "--out", tmp_path / "one", "--json")
    many = evaluate(
        run, table, *base, "--out", tmp_path / "many", "--json", "--engine", "ray", "--shards", 2
    )
    assert many.returncode == 0, many.stderr
    (alone,), (spread,) = json.loads(one.stdout), json.loads(many.stdout)
    assert (alone["items"], alone["mean"]) == (spread["items"], spread["mean"])
    left, right = read_run(Path(alone["folder"])), read_run(Path(spread["folder"]))
    assert [r.model_copy(update={"seconds": 0}) for r in left.records] == [
        r.model_copy(update={"seconds": 0}) for r in right.records
    ]
    assert len(model.asked) == 2 * ROWS


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"index": ["bundled", 3, 3]}, False),
        ({"kind": "endpoint"}, False),
        ({"agent": {"tools": ["segment"]}}, False),
        ({"agent": {"tools": ["find_similar_cases"]}}, True),
    ],
)
def test_an_agent_that_had_no_index_is_told(changes: dict[str, Any], told: bool) -> None:
    identity = {"kind": "agent", "agent": {"tools": None}, "index": None, **changes}
    assert lacks_index(identity) is told
