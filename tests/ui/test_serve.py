"""`overread serve --agent` as a user runs it: flags, the port, a question, and the end."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import openai
import pytest

from tests.ui.conftest import INTERRUPTIBLE, environment

Run = Callable[..., subprocess.CompletedProcess[str]]


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("overread: ") and done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--agent-port", "8766"], "add --agent"),
        (["--agent", "--stop"], "Ctrl-C"),
    ],
)
def test_flags_that_do_not_go_together(run: Run, flags: list[str], words: str) -> None:
    assert_refused(run("serve", *flags), words)


def test_a_port_in_use_is_told_before_the_planner_starts(run: Run, data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("serve", "--agent", "--agent-port", port)
    assert_refused(done, f"port {port}", "--agent-port")
    assert not data_dir.exists()


def test_an_open_endpoint_needs_a_key(run: Run, planner_url: str, free_port: int) -> None:
    done = run(
        "serve", "--agent", "--agent-port", free_port, "--base-url", planner_url,
        OVERREAD_API__HOST="0.0.0.0",
    )  # fmt: skip
    assert_refused(done, "set api.api_key")


def test_a_planner_that_is_not_there_is_told(run: Run, free_port: int) -> None:
    nowhere = f"http://127.0.0.1:{free_port}/v1"
    done = run("serve", "--agent", "--agent-port", free_port + 1, "--base-url", nowhere)
    assert done.returncode == 1
    assert done.stderr.startswith("overread: nothing answers at planner.base_url")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_a_signal(
    planner_url: str, data_dir: Path, free_port: int, number: signal.Signals
) -> None:
    command = [
        sys.executable, "-c", INTERRUPTIBLE, "serve", "--agent", "--agent-port", str(free_port),
        "--base-url", planner_url,
    ]  # fmt: skip
    with subprocess.Popen(
        command,
        env=environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stderr is not None
        while "the agent answers at" not in (line := serving.stderr.readline()):
            assert serving.poll() is None, line
        url = f"http://127.0.0.1:{free_port}"
        assert httpx.get(f"{url}/health", timeout=60).json() == {"status": "ok"}
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=60) as client:
            reply = client.chat.completions.create(
                model="agent", messages=[{"role": "user", "content": "Which modality?"}]
            )
        assert reply.model_extra and reply.model_extra["overread"]["abstained"]
        serving.send_signal(number)
        printed, errors = serving.communicate(timeout=120)
    assert serving.returncode == 0, errors
    assert printed == "" and "Traceback" not in errors
