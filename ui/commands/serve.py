"""`overread serve`: start the planner's server, or stop it; or serve the agent or its tools."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from overread.agent.config import Config
from overread.imaging.errors import ConfigError
from overread.ui.options import BaseUrl, Profile, config_from
from overread.ui.terminal import RESEARCH_USE, err


def serve(
    profile: Profile = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Where the planner listens.")
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the running planner.")] = False,
    agent: Annotated[
        bool,
        typer.Option("--agent", help="Serve the agent as an OpenAI-compatible chat model."),
    ] = False,
    agent_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Where the agent listens.", show_default="8766"),
    ] = None,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Serve the tools over MCP on stdin and stdout.")
    ] = False,
    mcp_http: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Serve MCP over HTTP at this port of this machine."),
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(help="Folder from which MCP clients may open images; can be repeated."),
    ] = None,
    base_url: BaseUrl = None,
) -> None:
    """Serve the planner with vLLM on this machine alone, until Ctrl-C.

    With --agent the planner is started unless it runs, and the agent is served until Ctrl-C. With
    --mcp the tools are served without a planner: the client plans.

    For example:

        overread serve --profile bundled

        overread serve --agent --agent-port 8766

        overread serve --mcp --folder /data/images

        overread serve --stop
    """
    if mcp or mcp_http is not None:
        if agent or stop:
            raise ConfigError("--mcp serves the tools alone; run it beside --agent or --stop")
        _serve_mcp(mcp_http, folder or [])
        return
    if folder:
        raise ConfigError("--folder is where MCP clients open images; add --mcp")
    from overread.agent import serving

    if agent_port is not None and not agent:
        raise ConfigError("--agent-port is where the agent listens; add --agent to serve it")
    if agent and stop:
        raise ConfigError("--stop stops the planner; end the agent with Ctrl-C where it runs")
    config = config_from(profile=profile, port=port, base_url=base_url)
    if stop:
        typer.echo("the planner is stopped" if serving.stop(config) else "no planner was running")
        return
    if agent:
        _serve_agent(config, agent_port)
        return
    with err.status("starting the planner") as status:

        def tell_ready(url: str) -> None:
            status.stop()
            err.print(f"the planner answers at {url} (Ctrl-C ends it)")

        serving.serve(
            config,
            tell_ready,
            lambda seconds: status.update(f"starting the planner ({seconds:.0f} s)"),
        )


def _serve_agent(config: Config, port: int | None) -> None:
    from overread.agent.assistant import Assistant
    from overread.agent.chat_server import serve_chat
    from overread.agent.listening import listen
    from overread.ui.planner_start import start_planner

    if port is not None:
        api = config.api.model_copy(update={"port": port})
        config = config.model_copy(update={"api": api})
    where = f"http://{config.api.host}:{config.api.port}/v1"
    listening_at = listen(config.api.host, config.api.port, "--agent-port (api.port)")
    with listening_at as listening, Assistant.from_config(config) as assistant:
        start_planner(config, allowed=True)
        serve_chat(
            assistant,
            listening,
            lambda: err.print(f"the agent answers at {where} (Ctrl-C ends it). {RESEARCH_USE}"),
        )


def _serve_mcp(port: int | None, folders: list[Path]) -> None:
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError("MCP needs its SDK; install it with: pip install 'overread[mcp]'")
    import asyncio

    from overread.agent.listening import listen
    from overread.agent.mcp_desk import Desk
    from overread.agent.mcp_server import serve_http, serve_stdio
    from overread.agent.resources import Resources

    config = config_from()
    limits = config.mcp
    if port is None:
        asyncio.run(serve_stdio(Desk(config, Resources(config), [*limits.folders, *folders])))
        return
    with listen("127.0.0.1", port, "--mcp-http") as listening:
        desk = Desk(config, Resources(config), [*limits.folders, *folders])
        serve_http(
            desk,
            listening,
            max_body_mb=2 * limits.max_upload_mb,  # base64 takes a third more
            api_key=limits.api_key,
            on_ready=lambda: err.print(
                f"MCP at http://127.0.0.1:{port}/mcp (Ctrl-C ends it). {RESEARCH_USE}"
            ),
        )
