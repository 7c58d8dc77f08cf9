"""The demo: its session names, its images, and the whole of it against the real planner."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from overread.ui.commands.demo import Sessions, examples

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_killed_question_keeps_its_session_and_an_answered_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    killed = Sessions(path, "demo")
    assert killed.name(1) == "demo-1"
    again = Sessions(path, "demo")
    assert again.name(1) == "demo-1"
    again.finished("demo-1")
    assert again.name(2) == "demo-2"
    third = Sessions(path, "demo")
    assert (third.name(1), third.name(2)) == ("demo-1-2", "demo-2")
    assert json.loads(path.read_text()) == ["demo-1"]


def test_its_images_come_with_the_packages(tmp_path: Path) -> None:
    dicom, photograph, phantom = examples(tmp_path)
    assert dicom.image.read_bytes()[128:132] == b"DICM"
    assert photograph.image.suffix == ".jpg"
    assert phantom.image.parent == tmp_path
    assert all(example.image.is_file() for example in (dicom, photograph, phantom))


@pytest.mark.slow
def test_the_demo_runs_and_a_second_run_indexes_nothing(run: Run, real_planner: int) -> None:
    env = {"OVERREAD_PLANNER__PORT": str(real_planner)}
    first = run("demo", **env)
    assert first.returncode == 0, first.stderr
    assert len(re.findall(r"^Answer ", first.stdout, re.MULTILINE)) == 3
    assert first.stdout.count("E1 image 1:") == 3
    assert "overread chat" in first.stdout
    assert "From asking to the first event" in first.stdout
    added = re.search(r"(\d+) added", first.stderr)
    assert added and int(added[1]) > 0

    second = run("demo", **env)
    assert second.returncode == 0, second.stderr
    assert "0 added" in second.stderr
    assert len(re.findall(r"^Answer ", second.stdout, re.MULTILINE)) == 3
