"""Options that several sub-commands share, and the configuration they make."""

from typing import Annotated, Any

import typer

from overread.agent.config import Config, load_config

Profile = Annotated[
    str | None,
    typer.Option(help="Planner profile, or the path of a profile's TOML.", show_default=False),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(help="An OpenAI-compatible endpoint to use as planner.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
NoStart = Annotated[
    bool, typer.Option("--no-start", help="Do not start the planner when it is not running.")
]


def config_from(**planner: Any) -> Config:
    """Load the configuration with the flags of the planner that were given.

    Raises:
        ConfigError: A value is not allowed.
    """
    given = {name: value for name, value in planner.items() if value is not None}
    return load_config(planner=given or None)
