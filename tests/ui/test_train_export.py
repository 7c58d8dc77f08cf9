"""`overread train export` and `overread train prompts`, as the command line calls them."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from overread.imaging.errors import InputError
from overread.ui.commands import train_export, train_prompts
from tests.training import served_vlm

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(train_export.export)
app.command()(train_prompts.prompts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = served_vlm.save_base(tmp_path_factory.mktemp("base"))
    return served_vlm.save_run(tmp_path_factory.mktemp("run") / "sft", base)


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_an_export_of_four_bits_is_written_and_checked(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("export", trained, "--out", out, "--bits", 4, "--check", "--prompts", 2)
    assert "answers are the same" in done.stdout, done.exception
    report = json.loads((out / "check.json").read_text())
    assert report["prompts"] == 2
    assert done.exit_code == (0 if all_ties(report) else 1)
    before = (out / "hashes.json").read_bytes()
    again = call("export", trained, "--out", out, "--check", "--prompts", 2, "--json")
    assert json.loads(again.stdout)["how"] == "in this process, bitsandbytes with 4 bits"
    assert (out / "hashes.json").read_bytes() == before


def all_ties(report: dict) -> bool:
    firsts = [difference["first"] for difference in report["differences"]]
    return all(f["gap"] is not None and f["gap"] <= 2 * f["step"] for f in firsts)


def test_an_adapter_is_exported_and_told_as_json(trained: Path, tmp_path: Path) -> None:
    done = call("export", trained, "--out", tmp_path / "out", "--adapter", "--json")
    assert done.exit_code == 0, done.exception
    facts = json.loads(done.stdout)
    assert (facts["kind"], facts["bits"]) == ("adapter", None)
    assert "adapter/adapter_model.safetensors" in facts["sha256"]


def test_wrong_words_are_one_sentence(trained: Path, tmp_path: Path) -> None:
    done = call("export", trained, "--out", tmp_path / "out", "--adapter", "--ours")
    assert isinstance(done.exception, InputError) and "not several" in str(done.exception)
    done = call("prompts", "--out", tmp_path / "p", "--writer", "http://x/v1", "--no-start")
    assert isinstance(done.exception, InputError) and "URL#MODEL" in str(done.exception)
    assert not (tmp_path / "p").exists()
