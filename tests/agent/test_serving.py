"""Starting, waiting for, explaining and stopping servers, with real processes and real ports."""

import http.server
import itertools
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from overread.agent import serving
from overread.agent.config import Config
from overread.agent.profiles import Profile, load_profile
from overread.agent.server_process import ServerProcess, last_words
from overread.agent.vllm_command import (
    check_model_folder,
    command,
    environment,
    fitting,
    model_location,
)
from overread.imaging.errors import ConfigError, PlannerUnavailable


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def profile(**changes) -> Profile:
    return load_profile("bundled").model_copy(update=changes)


def own_profile(folder: Path, model: Path) -> Path:
    """Write a profile that serves a model folder, otherwise as the bundled one."""
    fields = profile(model=str(model)).model_dump(mode="json", exclude={"lora"}, exclude_none=True)
    path = folder / "own.toml"
    path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items()))
    return path


def start(code: str, tmp_path: Path) -> ServerProcess:
    return ServerProcess.start(
        [sys.executable, "-c", code], os.environ, tmp_path / "log", "m", free_port()
    )


def wait_for(condition) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it never happened")


def test_the_command_is_safe_and_complete():
    config = Config(planner={"port": 8111, "api_key": "secret"})
    words = command(config, profile(lora={"a": "/x"}, quantisation="awq"), "/models/m")
    pairs = dict(itertools.pairwise(words))
    assert pairs["--model"] == "/models/m"
    assert (pairs["--host"], pairs["--port"]) == ("127.0.0.1", "8111")
    assert pairs["--load-format"] == "safetensors"
    assert pairs["--limit-mm-per-prompt"] == '{"image": 5, "video": 0}'
    assert '"disable_any_whitespace": true' in pairs["--structured-outputs-config"]
    assert pairs["--lora-modules"] == "a=/x" and pairs["--quantization"] == "awq"
    assert "--trust-remote-code" not in words and "secret" not in " ".join(words)


def test_native_tool_calls_name_their_parser():
    words = command(Config(), load_profile("lingshu"), "org/model")
    assert words[words.index("--tool-call-parser") + 1] == "hermes"
    assert "--enable-auto-tool-choice" in words


def test_the_environment_keeps_what_the_user_set(tmp_path):
    config = Config(planner={"api_key": "secret"})
    made = environment(config, profile(), str(tmp_path), {"VLLM_CPU_KVCACHE_SPACE": "7", "A": "b"})
    assert made["VLLM_CPU_KVCACHE_SPACE"] == "7" and made["A"] == "b"
    assert made["HF_HUB_OFFLINE"] == "1" and made["VLLM_API_KEY"] == "secret"
    assert "HF_HUB_OFFLINE" not in environment(config, profile(), "org/model", {})


def test_model_folders_are_checked(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        model_location(profile(model="/no/such/folder"), tmp_path)
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        check_model_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"holds no \*\.safetensors"):
        check_model_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert model_location(profile(model=str(tmp_path)), tmp_path) == str(tmp_path)
    assert model_location(profile(model="org/model"), tmp_path) == "org/model"


def test_too_little_memory_is_said_beforehand(tmp_path):
    with pytest.raises(ConfigError, match=r"needs about \d+\.\d GiB of memory"):
        fitting(profile(kv_cache_gib=100_000), str(tmp_path))
    fitting(profile(kv_cache_gib=100_000), "org/model")


def test_a_port_taken_by_another_program_is_named(data_dir, tmp_path):
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        config = Config(data_dir=data_dir, planner={"port": other.server_address[1]})
        with pytest.raises(ConfigError, match="is taken by another program"):
            serving.ensure_server(config)
        other.shutdown()


def test_a_mute_program_on_the_port_is_named(data_dir, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    own = own_profile(tmp_path, tmp_path)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        config = Config(
            data_dir=data_dir, planner={"port": mute.getsockname()[1], "profile": str(own)}
        )
        with pytest.raises(ConfigError, match="is taken by another program"):
            serving.ensure_server(config)


def test_a_running_planner_is_reused(planner, data_dir):
    config = Config(data_dir=data_dir, planner={"port": planner.port})
    assert serving.ensure_server(config) is False
    planner.served = "something-else"
    with pytest.raises(ConfigError, match="already serves something-else, not 'overread-planner'"):
        serving.ensure_server(config)


def test_a_remote_endpoint_is_only_looked_at(planner, data_dir):
    config = Config(data_dir=data_dir, planner={"base_url": planner.url})
    assert serving.ensure_server(config) is False
    planner.served = "something-else"
    with pytest.raises(ConfigError, match="serves something-else"):
        serving.ensure_server(config)
    nothing = Config(data_dir=data_dir, planner={"base_url": f"http://127.0.0.1:{free_port()}/v1"})
    with pytest.raises(PlannerUnavailable, match="nothing answers"):
        serving.ensure_server(nothing)


def test_stopping_ends_the_whole_group(tmp_path):
    code = (
        "import subprocess, sys, time; "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "print(p.pid, flush=True); time.sleep(600)"
    )
    server = start(code, tmp_path)
    wait_for(lambda: (tmp_path / "log").read_text().strip())
    child = int((tmp_path / "log").read_text())
    server.stop()
    assert not server.is_alive()
    wait_for(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))


def _is_zombie(pid: int) -> bool:
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()


def test_a_server_that_will_not_go_is_forced(tmp_path):
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('up', flush=True); time.sleep(600)"
    )
    server = start(code, tmp_path)
    wait_for(lambda: "up" in (tmp_path / "log").read_text())
    server.stop(grace_s=0.5)
    assert not server.is_alive()


def test_a_pid_that_was_given_out_again_is_not_ours(tmp_path):
    mine = ServerProcess(os.getpid(), 1.0, "m", 1)
    mine.remember(tmp_path / "pid")
    assert ServerProcess.recall(tmp_path / "pid") is None
    mine.stop()  # must not touch this very process
    (tmp_path / "pid").write_text("{}")
    assert ServerProcess.recall(tmp_path / "pid") is None


def test_the_served_number_format_is_read_off_the_running_server(data_dir, tmp_path):
    data_dir.mkdir()
    config = Config(data_dir=data_dir)
    assert serving.served_dtype(config) is None
    server = ServerProcess.start(
        [sys.executable, "-c", "import time; time.sleep(60)", "--dtype", "float32"], os.environ,
        tmp_path / "log", "m", config.planner.port,
    )  # fmt: skip
    try:
        server.remember(data_dir / f"planner-{config.planner.port}.pid")
        assert serving.served_dtype(config) == "float32"
        elsewhere = {"port": config.planner.port, "base_url": "http://127.0.0.1:1/v1"}
        assert serving.served_dtype(Config(data_dir=data_dir, planner=elsewhere)) is None
    finally:
        server.stop()


def test_stop_without_a_server(data_dir):
    data_dir.mkdir()
    assert serving.stop(Config(data_dir=data_dir)) is False


DIED_IN_THE_ENGINE = """
(APIServer pid=1) INFO 11-24 06:57:46 [a.py:1] starting
(EngineCore pid=2) ERROR 11-24 06:57:50 [core.py:9] Traceback (most recent call last):
(EngineCore pid=2) ERROR 11-24 06:57:50 [core.py:9] ValueError: no room for the cache
Traceback (most recent call last):
RuntimeError: Engine core initialization failed. See root cause above.
"""
REFUSED_THE_MODEL = """
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, no such architecture
    For further information visit a page
"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (DIED_IN_THE_ENGINE, "ValueError: no room for the cache"),
        (REFUSED_THE_MODEL, "1 validation error for ModelConfig Value error, no such architecture"),
        ("Killed\n", "Killed"),
        ("", "its log is empty"),
    ],
)
def test_the_log_says_why(tmp_path, log, words):
    (tmp_path / "log").write_text(log)
    assert last_words(tmp_path / "log") == words


@pytest.mark.slow
def test_a_server_that_dies_while_starting_says_why(data_dir, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "no-such-architecture"}')
    (model / "model.safetensors").write_bytes(b"not weights")
    own = own_profile(tmp_path, model)
    config = Config(data_dir=data_dir, planner={"port": free_port(), "profile": str(own)})
    with pytest.raises(PlannerUnavailable, match=r"died while starting: .*no-such-arch"):
        serving.ensure_server(config)
    assert not list(data_dir.glob("*.pid"))
