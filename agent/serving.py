"""Serve the planner with vLLM: start it once, wait until it answers, reuse it, stop it."""

import fcntl
import json
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from overread.agent.config import Config, ensure_data_dir
from overread.agent.profiles import Profile, load_profile
from overread.agent.server_process import ServerProcess, last_words
from overread.agent.vllm_command import (
    check_vllm,
    command,
    environment,
    fitting,
    model_location,
)
from overread.imaging.errors import ConfigError, PlannerUnavailable

Progress = Callable[[float], None]
_PROBE_TIMEOUT_S, _POLL_S = 2.0, 0.5


def ensure_server(config: Config, on_progress: Progress | None = None) -> bool:
    """Make sure that the configured planner answers; start it in the background if need be.

    Args:
        config: With `planner.base_url` set, that endpoint is only looked at.
        on_progress: Called while waiting, with the seconds since the start.

    Returns:
        Whether a server was started by this call.

    Raises:
        ConfigError: The port is taken, the model folder is no model, vLLM or memory is missing.
        PlannerUnavailable: The endpoint is not there, or the server died or did not get ready.
    """
    profile = load_profile(config.planner.profile)
    if config.planner.base_url:
        _check_remote(config, profile)
        return False
    if _is_ready(config, profile):
        return False
    with _starting(config):
        if _is_ready(config, profile):  # another process started it meanwhile
            return False
        server = ServerProcess.recall(_pid_file(config))
        started = server is None
        if server is None:
            server = _start(config, profile)
        _wait(config, profile, server, on_progress)
        return started


def serve(
    config: Config,
    on_ready: Callable[[str], None] | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Serve in the foreground until a signal or the server's end.

    Args:
        config: Which profile, host and port.
        on_ready: Called once with the URL.
        on_progress: As in `ensure_server`.

    Raises:
        ConfigError: As in `ensure_server`, or a server already runs there.
        PlannerUnavailable: The server died.
    """
    profile = load_profile(config.planner.profile)
    if config.planner.base_url:
        raise ConfigError("planner.base_url is set: that endpoint is served elsewhere")
    if _is_ready(config, profile):
        raise ConfigError(
            f"'{profile.served_name}' is already served at {config.planner.url}; "
            "use it, or stop it with 'overread serve --stop'"
        )

    def give_up(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    server: ServerProcess | None = None
    before = signal.signal(signal.SIGTERM, give_up)
    try:
        with _starting(config):
            server = _start(config, profile)
            _wait(config, profile, server, on_progress)
        if on_ready:
            on_ready(config.planner.url)
        while server.is_alive():
            time.sleep(_POLL_S)
        raise PlannerUnavailable(
            f"the planner's server ended: {last_words(log_file(config))} (log: {log_file(config)})"
        )
    except KeyboardInterrupt:
        return
    finally:
        if server is not None:
            server.stop()
            _pid_file(config).unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, before)


def stop(config: Config) -> bool:
    """Stop the server that was started for this data folder and port; return whether one ran."""
    path = _pid_file(config)
    server = ServerProcess.recall(path)
    if server is not None:
        server.stop()
    path.unlink(missing_ok=True)
    return server is not None


def served_dtype(config: Config) -> str | None:
    """Return the number format in which our own server computes; None where none of ours runs.

    It may be wider than the profile's (`overread.agent.precision`).
    """
    server = None if config.planner.base_url else ServerProcess.recall(_pid_file(config))
    return server.argument("--dtype") if server else None


def log_file(config: Config) -> Path:
    """Return where the server writes its log."""
    return config.data / "logs" / f"planner-{config.planner.port}.log"


def served_models(config: Config) -> list[str] | None:
    """Return the names served at the configured endpoint; None when nothing answers there.

    Raises:
        ConfigError: Something answers that is not an OpenAI-compatible server, or wants a key.
    """
    request = urllib.request.Request(f"{config.planner.url}/models")
    if config.planner.api_key:
        request.add_header("Authorization", f"Bearer {config.planner.api_key}")
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_TIMEOUT_S) as reply:
            listed = json.loads(reply.read())
            return [str(model["id"]) for model in listed["data"]]
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise ConfigError(
                f"the server at {config.planner.url} refused the key; set planner.api_key"
            ) from error
        raise _not_ours(config) from error
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _not_ours(config) from error
    except Exception as error:  # http.client raises its own tree for what is not HTTP
        raise _not_ours(config) from error


def _not_ours(config: Config) -> ConfigError:
    return ConfigError(
        f"port {config.planner.port} on {config.planner.host} is taken by another program; "
        "choose another with planner.port (OVERREAD_PLANNER__PORT)"
    )


def _is_ready(config: Config, profile: Profile) -> bool:
    """Whether the right model answers.

    Raises:
        ConfigError: Another model, or another program, answers.
    """
    names = served_models(config)
    if names is None:
        return False
    if profile.request_model in names:
        return True
    raise ConfigError(
        f"port {config.planner.port} already serves {', '.join(names) or 'nothing'}, not "
        f"'{profile.request_model}'; stop it with 'overread serve --stop', or choose another "
        "planner.port"
    )


def _check_remote(config: Config, profile: Profile) -> None:
    names = served_models(config)
    if names is None:
        raise PlannerUnavailable(f"nothing answers at planner.base_url {config.planner.url}")
    if profile.request_model not in names:
        raise ConfigError(
            f"{config.planner.url} serves {', '.join(names) or 'nothing'}, not "
            f"'{profile.request_model}'; choose the profile that fits with planner.profile"
        )


def _start(config: Config, profile: Profile) -> ServerProcess:
    check_vllm()
    ensure_data_dir(config)
    _check_port(config)
    model = model_location(profile, config.data)
    served = fitting(profile, model)
    server = ServerProcess.start(
        command(config, served, model),
        environment(config, served, model),
        log_file(config),
        profile.served_name,
        config.planner.port,
    )
    server.remember(_pid_file(config))
    return server


def _check_port(config: Config) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.planner.host, config.planner.port))
        except OSError as error:
            raise _not_ours(config) from error


def _wait(
    config: Config, profile: Profile, server: ServerProcess, on_progress: Progress | None
) -> None:
    """Wait until the server answers.

    Raises:
        PlannerUnavailable: It died, or is not ready in time; it is stopped then.
    """
    began = time.monotonic()
    while True:
        if not server.is_alive():
            server.stop()
            _pid_file(config).unlink(missing_ok=True)
            raise PlannerUnavailable(
                f"the planner's server died while starting: {last_words(log_file(config))} "
                f"(log: {log_file(config)})"
            )
        with suppress(ConfigError):  # half-open sockets of a server that is just starting
            if _is_ready(config, profile):
                return
        elapsed = time.monotonic() - began
        if elapsed > config.planner.start_timeout_s:
            server.stop()
            _pid_file(config).unlink(missing_ok=True)
            raise PlannerUnavailable(
                f"the planner's server was not ready after {elapsed:.0f} s; see "
                f"{log_file(config)}, or raise planner.start_timeout_s"
            )
        if on_progress:
            on_progress(elapsed)
        time.sleep(_POLL_S)


def _pid_file(config: Config) -> Path:
    return config.data / f"planner-{config.planner.port}.pid"


@contextmanager
def _starting(config: Config) -> Iterator[None]:
    """Let one process start the server at a time; the others wait and find it running."""
    ensure_data_dir(config)
    with (config.data / f"planner-{config.planner.port}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
