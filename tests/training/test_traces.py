import json
import re

import pytest

from overread.agent.steps import Step
from overread.imaging.phantoms import split_of
from overread.training.phantom_cache import cases_of
from overread.training.traces import write_sessions, write_traces

CASES = [("chest-xray", 0, 0), ("fundus", 1, 0), ("histology", 2, 0), ("ultrasound", 3, 0)]


@pytest.fixture(scope="module")
def lines() -> list[dict]:
    return [line for case in CASES for line in write_sessions((0, [case], 6))]


def replies(line: dict) -> list[str]:
    return [m["content"] for m in line["messages"] if m["role"] == "assistant"]


def test_every_reply_has_a_mark(lines: list[dict]) -> None:
    assert lines
    for line in lines:
        assert len(line["learn"]) == len(replies(line))


def test_planner_replies_are_steps_and_end_with_an_answer(lines: list[dict]) -> None:
    sessions = [line for line in lines if "tools" in line["messages"][0]["content"]]
    assert len(sessions) > len(CASES)
    for line in sessions:
        steps = [Step.model_validate(json.loads(reply)) for reply in replies(line)]
        assert steps[-1].answer


def test_learnt_answers_cite_only_evidence_that_was_shown(lines: list[dict]) -> None:
    cited = 0
    for line in lines:
        shown = set(re.findall(r"^\[(E\d+)\]", text_of(line), re.MULTILINE))
        learnt = [reply for reply, mark in zip(replies(line), line["learn"], strict=True) if mark]
        for reply in learnt:
            names = set(re.findall(r"\[(E\d+)\]", reply))
            cited += len(names)
            assert names <= shown
    assert cited > 10


def text_of(line: dict) -> str:
    texts = []
    for message in line["messages"]:
        content = message["content"]
        if isinstance(content, str):
            texts.append(content)
        else:
            texts += [part["text"] for part in content if part["type"] == "text"]
    return "\n".join(texts)


def test_a_follow_up_is_compared_with_its_prior() -> None:
    lines = write_sessions((0, [("chest-ct", 4, 1), ("chest-ct", 4, 0)], 6))
    assert any("in image 2" in text_of(line) for line in lines)


def test_sessions_are_deterministic() -> None:
    job = (3, [("brain-mr", 5, 0)], 3)
    assert write_sessions(job) == write_sessions(job)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_cases_keep_to_their_split(split: str) -> None:
    for domain, patient, _ in cases_of(split, 70):  # type: ignore[arg-type]
        assert split_of(f"ph-{domain}-{patient:05d}") == split


def test_the_test_split_is_never_written(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="test split is never written"):
        write_traces(tmp_path / "x.jsonl", "test", 1, 1)
