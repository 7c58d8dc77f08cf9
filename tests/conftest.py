"""Fixtures for every test: nothing touches the user's own folders."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from overread.agent.config import Config, PlannerConfig
from overread.agent.serving import ensure_server, stop

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point Overread at an empty data folder."""
    folder = tmp_path / "overread-data"
    monkeypatch.setenv("OVERREAD_DATA_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the pack of real images with ground truth, or skip."""
    folder = Path(os.environ.get("OVERREAD_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "manifest.jsonl").is_file():
        pytest.skip(f"no real test images at {folder}; set OVERREAD_TEST_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def real_planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve the bundled planner once for all slow tests; gives its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("planner")
    config = Config(data_dir=folder, planner=PlannerConfig(port=port, start_timeout_s=800))
    ensure_server(config)
    yield port
    stop(config)
