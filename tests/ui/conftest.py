"""The command line as a user runs it; only the planner's words are prepared."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from overread.imaging.phantoms import generate, write

Run = Callable[..., subprocess.CompletedProcess[str]]
OVERREAD = Path(sys.executable).with_name("overread")
# The command, which can be interrupted even if the tests themselves run in the background.
INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from overread.ui.cli import main; main()"
)
EFFUSION = ("chest-xray", 61881)


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user with an own data folder and a terminal of 100 columns."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OVERREAD_")}
    fixed = {"OVERREAD_DATA_DIR": str(data_dir), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    return clean | fixed | more


@pytest.fixture
def run(data_dir: Path, tmp_path: Path) -> Run:
    """Run `overread` with arguments, in an empty folder."""

    def call(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / "cwd"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [str(OVERREAD), *(str(argument) for argument in arguments)],
            cwd=folder,
            env=environment(data_dir, **env),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return call


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def planner_url() -> Iterator[str]:
    """A server that replies with prepared steps."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).with_name("scripted_planner.py")
    process = subprocess.Popen([sys.executable, str(script), str(port)])
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/models", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def start_chat(data_dir: Path, free_port: int) -> Iterator[Callable[..., str]]:
    """Run `overread chat` with arguments until the test ends; gives its address."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        command = [
            sys.executable,
            "-c",
            INTERRUPTIBLE,
            "chat",
            "--port",
            str(free_port),
            *arguments,
        ]
        process = subprocess.Popen(
            command,
            env=environment(data_dir),
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        url = f"http://127.0.0.1:{free_port}"
        while True:
            assert process.poll() is None, process.stderr and process.stderr.read()
            try:
                urllib.request.urlopen(url, timeout=5).close()
                return url
            except OSError:
                time.sleep(0.5)

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors


@pytest.fixture(scope="session")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic chest radiograph with a left effusion, as DICOM."""
    domain, patient = EFFUSION
    return write(generate(domain, patient), tmp_path_factory.mktemp("chest"))


@pytest.fixture(scope="module")
def room_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of `room_url`."""
    return tmp_path_factory.mktemp("room-data")


@pytest.fixture(scope="module")
def room_url(planner_url: str, room_data: Path) -> Iterator[str]:
    """The reading room with the scripted planner and an index of phantoms, for a whole module."""
    with reading_room(room_data, "--base-url", planner_url) as url:
        yield url


@contextmanager
def reading_room(data: Path, *arguments: str, log: Path | None = None) -> Iterator[str]:
    """Run `overread chat` until the block ends; it must end well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", INTERRUPTIBLE, "chat", "--port", str(port), *arguments]
    errors = (log or data.with_suffix(".log")).open("w+")
    process = subprocess.Popen(command, env=environment(data), stderr=errors, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert process.poll() is None, Path(errors.name).read_text()
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except urllib.error.HTTPError:
                break  # it asks who is there
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
        errors.close()
    said = Path(errors.name).read_text()
    assert process.returncode == 0, said
    assert "Traceback" not in said, said
