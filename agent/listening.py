"""Listen on a port and serve an application in the foreground, with uvicorn, until a signal."""

import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from overread.imaging.errors import ConfigError

_BACKLOG = 1024


def listen(host: str, port: int, option: str) -> socket.socket:
    """Return a socket that listens; clients that come before the application wait for it.

    Args:
        host: Address of this machine.
        port: Of it.
        option: That chose the port, for the message.

    Raises:
        ConfigError: The port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        raise ConfigError(
            f"port {port} on {host} cannot be used ({error.strerror}); choose another with {option}"
        ) from error
    return opened


def run_until_signal(
    app: ASGIApp, listening: socket.socket, on_ready: Callable[[], None], grace_s: int = 5
) -> None:
    """Serve an application until SIGINT or SIGTERM.

    Args:
        app: The application.
        listening: As `listen` returns it.
        on_ready: Called before the first request is answered.
        grace_s: Seconds that requests on their way get to end.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # a peer's address is what its connection says
            timeout_graceful_shutdown=grace_s,
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
