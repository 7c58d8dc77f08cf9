"""`overread chat`: the reading room in a browser."""

import importlib.util
import ipaddress
import os
from pathlib import Path
from typing import Annotated

import typer

from overread.agent.config import ensure_data_dir
from overread.imaging.errors import ConfigError
from overread.ui.access import LOOPBACK, Access, LocalAccess, PasswordAccess, ProxyAccess
from overread.ui.options import BaseUrl, NoStart, Profile, config_from
from overread.ui.terminal import RESEARCH_USE, err
from overread.ui.users import USERS_FILE, Users

HOST = "127.0.0.1"


def chat(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the app listens.")] = 7860,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than loopback need users or a proxy.")
    ] = HOST,
    profile: Profile = None,
    base_url: BaseUrl = None,
    no_start: NoStart = False,
    proxy_header: Annotated[
        str | None,
        typer.Option(help="Header in which a reverse proxy names the user it authenticated."),
    ] = None,
    proxy_address: Annotated[
        list[str] | None,
        typer.Option(
            help="Address or network of that proxy; repeat for several.", show_default="loopback"
        ),
    ] = None,
    max_upload_mb: Annotated[int, typer.Option(min=1, help="Largest file to upload.")] = 512,
) -> None:
    """Open the reading room: open images, ask, watch the tools work, check the evidence.

    It listens on this machine alone unless told otherwise, asks no other host for anything, and
    reports nothing. With users (`overread users add NAME`) it asks for a password.

    For example:

        overread chat --port 7861

        overread chat --proxy-header X-Forwarded-User --proxy-address 127.0.0.1
    """
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError("the app needs gradio; install it with: pip install 'overread[ui]'")
    config = config_from(profile=profile, base_url=base_url)
    from overread.agent.listening import listen

    access = _access(ensure_data_dir(config), host, proxy_header, proxy_address)
    with listen(host, port, "--port") as listening:
        from overread.agent.assistant import Assistant
        from overread.ui.planner_start import start_planner

        with Assistant.from_config(config) as assistant:
            start_planner(config, allowed=not no_start)
            # Read by Gradio when it is imported: where uploads go, and that nothing is reported.
            uploads = assistant.resources.data / "uploads"
            uploads.mkdir(mode=0o700, exist_ok=True)
            os.environ["GRADIO_TEMP_DIR"] = str(uploads)
            os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
            from overread.ui.server import create_app, serve

            app = create_app(assistant, access, max_upload_mb)
            where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            serve(
                app,
                listening,
                lambda: err.print(f"Overread is at {where} (Ctrl-C ends it). {RESEARCH_USE}"),
            )


def _access(
    data: Path, host: str, proxy_header: str | None, proxy_address: list[str] | None
) -> Access:
    """Return who may come in.

    Raises:
        ConfigError: The app would be open to the network, or the options contradict each other.
    """
    if proxy_address and not proxy_header:
        raise ConfigError("--proxy-address needs --proxy-header, which names the user's header")
    users = Users(data / USERS_FILE)
    if proxy_header:
        return ProxyAccess(proxy_header, proxy_address or LOOPBACK)
    if users.names():
        return PasswordAccess(users)
    if not is_loopback(host):
        raise ConfigError(
            f"at {host} others could open the app; add users with 'overread users add NAME', or "
            "put it behind a proxy with --proxy-header"
        )
    return LocalAccess()


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
