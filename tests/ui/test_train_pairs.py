"""`overread train pairs` from the command line, against a model of scripted words behind real HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from overread.training.examples import Pair, read_lines
from overread.ui.cli import app
from tests.evals.scripted_model import MODEL, ScriptedModel

MIX = """
sources:
  - {source: phantoms, task: tool_use, patients: 7, limit: 25}
  - {source: phantoms, task: closed, patients: 7, limit: 25}
"""


def say(question: str) -> str:
    return '{"why": "-", "answer": "Yes [E1]."}' if "[E1]" in question else "Yes."


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    server = ScriptedModel(say)
    yield server
    server.stop()


def run(model: ScriptedModel, folder: Path, *flags: str) -> tuple[int, str]:
    mix = folder / "mix.yaml"
    mix.write_text(MIX)
    arguments = ["train", "pairs", "--mix", str(mix), "--model", f"{model.url}#{MODEL}"]
    arguments += ["--out", str(folder / "pairs.jsonl"), "--reports", "0", *flags]
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        return 2, str(result.exception)
    return result.exit_code, result.output


def test_pairs_report_and_counts_are_written(model: ScriptedModel, tmp_path: Path) -> None:
    code, output = run(model, tmp_path, "--json")
    assert code == 0, output
    told = json.loads(output)
    pairs = list(read_lines(tmp_path / "pairs.jsonl", Pair))
    assert told["pairs"] == len(pairs) >= 2 and told["kinds"] == {"look": len(pairs)}
    forms = {pair.id.split(":")[2] for pair in pairs}
    assert forms == {"direct", "agent"}
    for pair in pairs:
        right = "Yes." if pair.task == "closed" else say("[E1]")
        assert (pair.chosen, pair.rejected) == (right, right)
    steps = [asked for asked in model.asked if "response_format" in asked]
    schema = steps[0]["response_format"]["json_schema"]["schema"]
    assert [list(v["properties"]) for v in schema["anyOf"]] == [["why", "answer"]]
    assert "data:image/jpeg" in (tmp_path / "pairs.html").read_text()


def test_a_second_run_asks_nothing(model: ScriptedModel, tmp_path: Path) -> None:
    assert run(model, tmp_path)[0] == 0
    before, asked = (tmp_path / "pairs.jsonl").read_bytes(), len(model.asked)
    code, output = run(model, tmp_path)
    assert code == 0 and "Read the sample before training" in output
    assert len(model.asked) == asked
    assert (tmp_path / "pairs.jsonl").read_bytes() == before


def test_a_server_that_goes_away_loses_nothing(model: ScriptedModel, tmp_path: Path) -> None:
    model.stop()
    code, output = run(model, tmp_path)
    assert code != 0 and "no planner is running at" in output
    assert not (tmp_path / "pairs.jsonl").exists()
    model.start()
    code, output = run(model, tmp_path)
    assert code == 0, output
    assert list(read_lines(tmp_path / "pairs.jsonl", Pair))
