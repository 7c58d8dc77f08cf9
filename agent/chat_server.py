"""Serve the chat endpoint in the foreground, with uvicorn."""

import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from overread.agent.assistant import Assistant
from overread.agent.chat_api import create_app, tidy
from overread.agent.config import ApiConfig
from overread.imaging.errors import ConfigError

_BACKLOG = 1024
_GRACE_S = 5


def listen(api: ApiConfig, option: str = "--agent-port (api.port)") -> socket.socket:
    """Return a socket that listens; clients that come before `serve_chat` wait for it.

    Raises:
        ConfigError: The port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((api.host, api.port))
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        raise ConfigError(
            f"port {api.port} on {api.host} cannot be used ({error.strerror}); choose another "
            f"with {option}"
        ) from error
    return opened


def serve_chat(
    assistant: Assistant, listening: socket.socket, on_ready: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM; questions on their way get some seconds to end.

    Raises:
        ConfigError: The endpoint would be open to the network without a key.
    """
    app = create_app(assistant)
    tidy(assistant)
    run_until_signal(app, listening, on_ready)


def run_until_signal(app: ASGIApp, listening: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve an application until SIGINT or SIGTERM; requests on their way get some seconds."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )

    def give_up(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Uvicorn ends well on SIGTERM and then raises it again, for whoever was there before.
    before = signal.signal(signal.SIGTERM, give_up)
    try:
        on_ready()
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)
