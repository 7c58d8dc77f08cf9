"""Start the planner for a command of the user's, with a sign of life on stderr."""

from overread.agent.config import Config
from overread.agent.serving import ensure_server, served_models
from overread.imaging.errors import PlannerUnavailable
from overread.ui.terminal import err


def is_running(config: Config) -> bool:
    """Whether a server answers where the planner should be.

    Raises:
        ConfigError: What answers is no planner.
    """
    return served_models(config) is not None


def start_planner(config: Config, allowed: bool) -> None:
    """Start the planner unless it runs, and wait until it answers.

    Raises:
        PlannerUnavailable: It may not be started, or it did not start.
        ConfigError: Another model is served there, or the model or the port cannot be used.
    """
    if not allowed and not is_running(config):
        raise PlannerUnavailable(
            f"no planner answers at {config.planner.url}; start it with 'overread serve'"
        )
    with err.status("looking for the planner") as status:
        ensure_server(
            config, lambda seconds: status.update(f"starting the planner ({seconds:.0f} s)")
        )
