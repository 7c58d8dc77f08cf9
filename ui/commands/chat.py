"""`overread chat`: the app in a browser, on this machine alone."""

import importlib.util
import os
import socket
from typing import Annotated

import typer

from overread.imaging.errors import ConfigError
from overread.ui.options import BaseUrl, NoStart, Profile, config_from
from overread.ui.terminal import RESEARCH_USE, err

HOST = "127.0.0.1"


def chat(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the app listens.")] = 7860,
    profile: Profile = None,
    base_url: BaseUrl = None,
    no_start: NoStart = False,
) -> None:
    """Open the app: drop in images, ask, watch the tools work, read the evidence.

    It listens on this machine alone, asks no other host for anything, and reports nothing.

    For example:

        overread chat --port 7861
    """
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError("the app needs gradio; install it with: pip install 'overread[ui]'")
    config = config_from(profile=profile, base_url=base_url)
    check_port_is_free(port)
    from overread.agent.assistant import Assistant
    from overread.ui.planner_start import start_planner

    with Assistant.from_config(config) as assistant:
        start_planner(config, allowed=not no_start)
        # Read by Gradio when it is imported: where uploads go, and that nothing is reported.
        uploads = assistant.resources.data / "uploads"
        uploads.mkdir(mode=0o700, exist_ok=True)
        os.environ["GRADIO_TEMP_DIR"] = str(uploads)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        from overread.ui.app import launch

        err.print(f"Overread is at http://{HOST}:{port} (Ctrl-C ends it). {RESEARCH_USE}")
        launch(assistant, HOST, port)


def check_port_is_free(port: int) -> None:
    """Raise `ConfigError` when something listens at the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port"
            ) from error
