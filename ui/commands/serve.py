"""`overread serve`: start the planner's server, or stop it."""

from typing import Annotated

import typer

from overread.ui.options import Profile, config_from
from overread.ui.terminal import err


def serve(
    profile: Profile = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Where it listens.")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the running planner.")] = False,
) -> None:
    """Serve the planner with vLLM on this machine alone, until Ctrl-C.

    For example:

        overread serve --profile bundled

        overread serve --stop
    """
    from overread.agent import serving

    config = config_from(profile=profile, port=port)
    if stop:
        typer.echo("the planner is stopped" if serving.stop(config) else "no planner was running")
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
