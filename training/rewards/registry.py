"""Which reward pays which task. A new task is one file beside this one and one line here."""

from collections.abc import Callable

from overread.imaging.errors import ConfigError
from overread.training.examples import Example
from overread.training.rewards.closed import closed_reward
from overread.training.rewards.grounding import grounding_reward
from overread.training.rewards.measurement import measurement_reward
from overread.training.rewards.open_words import open_reward
from overread.training.rewards.report import report_reward
from overread.training.rewards.tool_use import tool_use_reward

Reward = Callable[[str, Example], float]
"""Takes a completion and its example; returns 0..1, more is better."""

REWARDS: dict[str, Reward] = {
    "closed": closed_reward,
    "open": open_reward,
    "measurement": measurement_reward,
    "grounding": grounding_reward,
    "report": report_reward,
    "tool_use": tool_use_reward,
}


def reward_for(task: str) -> Reward:
    """Return the reward of a task.

    Raises:
        ConfigError: There is none.
    """
    if task not in REWARDS:
        raise ConfigError(
            f"there is no reward for the task '{task}'; GRPO trains {', '.join(REWARDS)}"
        )
    return REWARDS[task]
