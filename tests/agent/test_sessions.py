"""Sessions: several questions, stops in the middle, kill -9, people in the loop, what is stored."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from overread.agent import events
from overread.imaging.errors import ConfigError, InputError, PlannerUnavailable, UnknownReference
from tests.agent.said import NODULE, QUESTION, YES, answer, call


def ids(found):
    return [entry.id for entry in found.evidence]


def test_a_session_keeps_images_and_numbering(planner, make_assistant, picture, dark_picture):
    assistant = make_assistant()
    planner.say(NODULE, YES)
    first = assistant.ask(QUESTION, [picture], "case-1")
    planner.say(call("brightness", image=1), answer("The mean is 100.1 [E3]."))
    second = assistant.ask("How bright is it?", session="case-1")
    assert (first.session, second.session) == ("case-1", "case-1")
    assert ids(second) == ["E1", "E2", "E3"] and second.text == "The mean is 100.1 [E3]."
    planner.say(answer("Image 2 has 40 rows [E4]."))
    third = assistant.ask("And this one?", [picture, dark_picture], "case-1")
    assert ids(third) == ["E1", "E2", "E3", "E4"]
    assert third.evidence[3].arguments == {"image": 2}
    told = planner.texts()
    assert "[E1] image 1" in told[1] and "[E4] image 2" in told[1]
    assert told[-1] == "Question: And this one?"


def test_later_questions_see_the_verified_answer(planner, make_assistant, picture):
    wrong = answer("There is a nodule [E2]. It measures 9 mm [E2].")
    planner.say(NODULE, wrong, wrong, answer("There is not enough evidence."))
    assistant = make_assistant()
    assistant.ask(QUESTION, [picture], "s")
    assistant.ask("And a mass?", session="s")
    steps = [text for text in planner.texts() if '"answer"' in text]
    assert steps[-1] == '{"why":"enough","answer":"There is a nodule [E2]."}'


def test_evidence_of_an_earlier_question_is_not_gathered_again(
    planner, make_assistant, picture, tool_runs
):
    assistant = make_assistant()
    planner.say(NODULE, YES, NODULE, YES)
    assistant.ask(QUESTION, [picture], "s")
    found = assistant.ask("Are you sure?", session="s")
    assert tool_runs == ["find nodule"] and ids(found) == ["E1", "E2"]
    assert planner.texts()[-1] == "[E2] find nodule in image 1: found"


def test_a_server_that_stops_in_the_middle_loses_nothing(
    planner, make_assistant, picture, tool_runs
):
    assistant = make_assistant()
    planner.say(NODULE, lambda _: None)
    with pytest.raises(PlannerUnavailable, match="stopped in the middle of a reply"):
        assistant.ask(QUESTION, [picture], "s")
    planner.say(YES)
    told = list(assistant.stream(QUESTION, [picture], "s"))
    assert told[0].resumed
    assert told[-1].answer.text == YES["answer"]
    assert ids(told[-1].answer) == ["E1", "E2"] and tool_runs == ["find nodule"]


def test_another_question_leaves_the_stopped_one_behind(planner, make_assistant, picture):
    assistant = make_assistant()
    planner.say(NODULE, lambda _: None)
    with pytest.raises(PlannerUnavailable):
        assistant.ask(QUESTION, [picture], "s")
    planner.say(call("brightness", image=1), answer("The mean is 100.1 [E3]."))
    found = assistant.ask("How bright is it?", session="s")
    assert ids(found) == ["E1", "E2", "E3"]
    assert not any(QUESTION in text for text in planner.texts())
    roles = [message["role"] for message in planner.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("stops_in", ["planner", "tools"])
def test_a_killed_process_goes_on_at_the_last_finished_step(
    planner, make_assistant, picture, data_dir, stops_in
):
    reached = threading.Event()

    def hang(_):
        reached.set()
        threading.Event().wait(30)

    if stops_in == "planner":
        planner.say(NODULE, hang)
    else:
        planner.say(NODULE, call("find", image=1, target="mass", pause_s=60))
    arguments = [str(data_dir), planner.url, "s", QUESTION, str(picture)]
    command = [sys.executable, "-m", "tests.agent.killed", *arguments]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    if stops_in == "planner":
        assert reached.wait(60)
    else:
        wait_for_steps(data_dir / "sessions.sqlite", process, planner)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    asked = len(planner.requests)
    assistant = make_assistant(tool_timeout_s=0.5)
    planner.replies.clear()
    planner.say(YES)
    found = assistant.resume("s") if stops_in == "tools" else assistant.ask(
        QUESTION, [picture], "s"
    )  # fmt: skip
    assert found.text == YES["answer"]
    assert ids(found) == ["E1", "E2"]
    assert len(planner.requests) == asked + 1
    assert found.usage.steps == 1


def wait_for_steps(database, process, planner):
    """Wait until the second step's tool is running."""
    for _ in range(600):
        if len(planner.requests) == 2:
            threading.Event().wait(1.0)
            return
        assert process.poll() is None
        threading.Event().wait(0.1)
    raise AssertionError("the process never reached its second step")


def test_checkpoints_hold_no_pixels_no_paths_and_no_pickle(
    planner, make_assistant, picture, data_dir
):
    planner.say(NODULE, YES)
    make_assistant().ask(QUESTION, [picture], "s")
    path = data_dir / "sessions.sqlite"
    with sqlite3.connect(path) as database:
        tables = {"checkpoints": "type, checkpoint, metadata", "writes": "type, value, channel"}
        rows = [
            row
            for table, columns in tables.items()
            for row in database.execute(f"SELECT {columns} FROM {table}")
        ]
    assert len(rows) > 10
    assert {row[0] for row in rows} <= {"msgpack", "json", "null", "bytes", "empty"}
    whole = b"".join(
        part if isinstance(part, bytes) else str(part).encode() for row in rows for part in row
    )
    for forbidden in (b"base64", b"data:image", b"PNG", b"Jane_Doe", b"pickle", b"iVBORw"):
        assert forbidden not in whole
    assert max(len(row[1]) for row in rows) < 20_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_clarifying_question_waits_for_the_user(planner, make_assistant, picture):
    assistant = make_assistant()
    planner.say({"why": "unclear", "ask": "Which lung do you mean?"})
    first = assistant.ask("Is it large?", [picture], "s", may_ask=True)
    assert (first.waiting, first.text) == ("clarify", "Which lung do you mean?")
    planner.say(NODULE, YES)
    second = assistant.ask("The left one", session="s")
    assert second.text == YES["answer"] and second.waiting is None
    assert "The user replies: The left one" in planner.texts()


def test_the_planner_may_only_ask_when_somebody_listens(planner, make_assistant, picture):
    planner.say(answer("There is not enough evidence."))
    make_assistant().ask("Is it large?", [picture])
    schema = planner.requests[0]["response_format"]["json_schema"]["schema"]
    assert all("ask" not in variant["properties"] for variant in schema["anyOf"])


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        (True, YES["answer"]),
        ({"approved": True, "text": "Nodule, follow up."}, "Nodule, follow up."),
        (False, "Not signed off."),
    ],
)
def test_a_person_signs_off(planner, make_assistant, picture, decision, text):
    assistant = make_assistant()
    planner.say(NODULE, YES)
    draft = assistant.ask(QUESTION, [picture], "s", sign_off=True)
    assert (draft.waiting, draft.text) == ("sign_off", YES["answer"])
    with pytest.raises(InputError, match="waits for a reply"):
        assistant.resume("s")
    final = assistant.resume("s", decision)
    assert final.text == text and final.waiting is None
    assert final.abstained is (decision is False)


def test_what_cannot_be_resumed_says_why(planner, make_assistant, picture):
    assistant = make_assistant()
    with pytest.raises(UnknownReference, match="no session 'nobody'"):
        assistant.resume("nobody")
    planner.say(NODULE, YES)
    assistant.ask(QUESTION, [picture], "s")
    with pytest.raises(InputError, match="nothing left to do"):
        assistant.resume("s")
    with pytest.raises(InputError, match="not a session id"):
        assistant.ask(QUESTION, session="../../etc")


def test_a_session_answers_one_question_at_a_time(planner, make_assistant, picture):
    assistant = make_assistant()
    release = threading.Event()

    def slow(_):
        release.wait(20)
        return '{"why": "x", "answer": "There is not enough evidence."}'

    planner.say(slow)
    running = assistant.stream(QUESTION, [picture], "s")
    assert isinstance(next(running), events.SessionStarted)
    with pytest.raises(InputError, match="answering another question"):
        assistant.ask("Another?", session="s")
    release.set()
    assert list(running)[-1].answer.abstained


def test_a_stream_that_is_left_early_stops_the_work(planner, make_assistant, picture):
    assistant = make_assistant()

    def as_needed(server):  # how far the first run came does not matter
        return json.dumps(YES if "[E2]" in server.texts()[-1] else NODULE)

    planner.say(*[as_needed] * 6)
    left = assistant.stream(QUESTION, [picture], "s")
    assert isinstance(next(left), events.SessionStarted)
    left.close()
    for _ in range(100):  # the running step may need a moment to end
        try:
            found = assistant.ask(QUESTION, [picture], "s")
            break
        except InputError:
            threading.Event().wait(0.1)
    assert found.text == YES["answer"] and ids(found) == ["E1", "E2"]


def test_a_damaged_sessions_file_is_named(make_assistant, data_dir):
    data_dir.mkdir()
    (data_dir / "sessions.sqlite").write_bytes(b"not a database, " * 500)
    with pytest.raises(ConfigError, match=r"sessions\.sqlite is damaged"):
        make_assistant()


def test_long_sessions_leave_out_the_oldest_questions(planner, make_assistant, picture):
    assistant = make_assistant()
    for number in range(5):
        planner.say(answer("There is not enough evidence."))
        assistant.ask(f"Question {number} " + "word " * 700, [picture], "s")
    told = " ".join(planner.texts())
    assert "Question 4" in told and "Question 0" not in told
