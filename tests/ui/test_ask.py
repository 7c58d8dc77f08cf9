"""`overread ask` and `report` with the real agent, tools and files; only the steps are prepared."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]
RESEARCH_USE = "Research use only. Not a medical device."


def test_the_plan_the_answer_and_the_evidence_are_printed(
    run: Run, chest: Path, planner_url: str
) -> None:
    done = run("ask", chest, "Where is the effusion?", "--base-url", planner_url)
    assert done.returncode == 0, done.stderr
    for part in (
        "E1 image 1: modality CR",
        "1. segment  look for the effusion",
        "→ segment(image 1, effusion)",
        "Answer  See the outline [E2].",
        "planner",
        "First event after",
        RESEARCH_USE,
    ):
        assert part in done.stdout
    assert done.stderr == ""


def test_json_is_alone_on_stdout(run: Run, chest: Path, planner_url: str) -> None:
    done = run("ask", chest, "What modality is it?", "--json", "--base-url", planner_url)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["text"] == "The modality is CR [E1]."
    assert answer["evidence"][0]["values"]["modality"] == "CR"
    assert answer["seconds_to_first_event"] >= 0
    assert RESEARCH_USE in done.stderr


def test_a_session_goes_on(run: Run, chest: Path, planner_url: str) -> None:
    common = ("--session", "case-7", "--json", "--base-url", planner_url)
    first = json.loads(run("ask", chest, "Where is the effusion?", *common).stdout)
    second = json.loads(run("ask", "What modality is it?", *common).stdout)
    assert [item["id"] for item in first["evidence"]] == ["E1", "E2"]
    assert second["evidence"][:2] == first["evidence"]
    assert second["session"] == "case-7"


def test_no_planner_is_a_failure_not_bad_input(run: Run, chest: Path, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}/v1"
    done = run("ask", chest, "Why?", "--base-url", url)
    assert done.returncode == 1
    assert done.stderr.startswith("overread: ")
    assert url in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_report_is_written_to_a_file(
    run: Run, chest: Path, planner_url: str, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "report.md"
    done = run("report", chest, "--out", target, "--base-url", planner_url)
    assert done.returncode == 0, done.stderr
    text = target.read_text()
    assert "## Impression" in text
    assert "research use only" in text
    assert [path.name for path in target.parent.iterdir()] == ["report.md"]
    assert done.stdout == ""


def test_a_report_goes_to_stdout(run: Run, chest: Path, planner_url: str) -> None:
    done = run("report", chest, "--base-url", planner_url)
    assert done.stdout.startswith("# Radiograph of the chest - DRAFT")
    assert "1. segment" in done.stderr
