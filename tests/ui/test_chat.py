"""What the app lets out: only to this machine, and only the files it shows."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_only_loopback_and_no_file_by_its_path(
    start_chat: Callable[..., str], planner_url: str, data_dir: Path
) -> None:
    url = start_chat("--base-url", planner_url)
    port = int(url.rsplit(":", 1)[1])
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    assert listening == {"127.0.0.1"}

    shown = data_dir / "artifacts" / "ab" / "shown.png"
    shown.parent.mkdir(parents=True)
    shown.write_bytes(b"x")
    assert status(f"{url}/gradio_api/file={shown}") == 404  # artifacts go by session
    for hidden in ("pseudonym.secret", "sessions.sqlite"):
        assert (data_dir / hidden).is_file()
        assert status(f"{url}/gradio_api/file={data_dir / hidden}") == 404
        assert status(f"{url}/gradio_api/file={shown.parent}/../../{hidden}") == 404
    for hidden in ("/etc/passwd", __file__):
        assert status(f"{url}/gradio_api/file={hidden}") == 404

    with urllib.request.urlopen(f"{url}/config", timeout=30) as reply:
        config = json.loads(reply.read())
    assert config["analytics_enabled"] is False
    assert not config.get("run_history")
    assert all(path.stat().st_mode & 0o077 == 0 for path in (data_dir, data_dir / "uploads"))
