"""The command line as a whole: help, version, interruption, what needs no planner."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from overread import __version__

Run = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = ["ask", "chat", "demo", "serve", "segment", "report", "doctor", "index", "eval"]
HEAVY = ("torch", "gradio", "chromadb", "transformers", "open_clip", "langgraph", "numpy")


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom overread.ui.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", done.stdout)
    assert "Research use only" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        *COMMANDS,
        "index build",
        "index search",
        "index stats",
        "eval run",
        "eval list",
        "eval report",
        "eval compare",
    ],
)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"overread {__version__}\n"


def test_doctor_reports_in_json_what_it_prints(run: Run, data_dir: Path) -> None:
    found = json.loads(run("doctor", "--json").stdout)
    assert found["versions"]["overread"] == __version__
    assert "bundled" in found["planner"]["profile"]
    assert str(data_dir) in found["data"]["folder"]
    assert not data_dir.exists(), "looking must not make the folder"
    assert "Research use only" in run("doctor").stdout


def test_segment_copies_what_it_found(run: Run, chest: Path, tmp_path: Path) -> None:
    done = run("segment", chest, "thorax", "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["values"]["target"] == "thorax"
    assert sorted(result["files"]) == sorted(str(path) for path in (tmp_path / "out").glob("*"))


def test_an_interrupt_ends_quietly_with_130(chest: Path, data_dir: Path, planner_url: str) -> None:
    code = (  # tests that run in the background have children that ignore an interrupt
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from overread.ui.cli import main; main()"
    )
    arguments = ["ask", str(chest), "Wait for ever?", "--base-url", planner_url]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code, *arguments],
        env=os.environ | {"OVERREAD_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as asking:
        assert asking.stdout is not None
        while "E1 image 1" not in asking.stdout.readline():
            assert asking.poll() is None
        asking.send_signal(signal.SIGINT)
        _, errors = asking.communicate(timeout=120)
    assert asking.returncode == 130
    assert "Traceback" not in errors
