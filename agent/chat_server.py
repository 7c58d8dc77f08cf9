"""Serve the chat endpoint in the foreground."""

import socket
from collections.abc import Callable

from overread.agent.assistant import Assistant
from overread.agent.chat_api import create_app, tidy
from overread.agent.listening import run_until_signal


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
