"""Percentiles of a baseline's rewards, by dataset and task: what normalised GRPO is scaled by.

    overread train reward-stats --config training/configs/grpo-bundled.yaml

Takes the configuration of the GRPO run itself, so that prompts, sampling, sessions and rewards are
those of its first step. Written once, under the SFT baseline, and frozen: percentiles that moved with
the policy would take away again what it gains.
"""

import random
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.training.examples import Example
from overread.training.grpo import GrpoArguments, make_trainer, rollouts_for, rows_of
from overread.training.normalisation import Spread, spread_of
from overread.training.pay import kind_of, read_texts
from overread.training.rewards.registry import reward_for
from overread.training.rollouts import key_of

if TYPE_CHECKING:
    from trl import GRPOConfig

MIN_SAMPLES, MIN_PROMPTS = 100, 25
"""Below, the quartiles are noise: at 100 samples of a normal their standard error is 0.14 s."""


class RewardStats(BaseModel, frozen=True, extra="forbid"):
    """What the file holds.

    Attributes:
        model: The baseline, as it was named.
        mix: Name and hash of the examples.
        seed: Of the choice of prompts and of sampling.
        generations: Samples a prompt.
        sampling: Temperature and the like.
        spreads: By "dataset/task".
    """

    model: str
    mix: str
    seed: int
    generations: int
    sampling: dict[str, float]
    spreads: dict[str, Spread]


def measure(
    arguments: GrpoArguments,
    config: "GRPOConfig",
    examples: Sequence[Example],
    model: Any,
    processor: Any,
    prompts: int,
    **options: Any,
) -> dict[str, Spread]:
    """Sample the baseline's answers and return the spread of their rewards.

    Args:
        arguments: Of the GRPO run.
        config: Of the GRPO run. KL and checkpoints are left out of it.
        examples: Of the mix.
        model: The baseline.
        processor: Its processor.
        prompts: At most so many of each dataset and task.
        **options: Of the trainer: "peft_config" and the like.

    Raises:
        InputError: A dataset and task has too few examples or samples.
        ConfigError: A task has no reward.
    """
    chosen = choose(examples, prompts, config.seed)
    group = int(config.num_generations_eval or config.num_generations or 1)
    refuse_too_few(chosen, group)
    taken: dict[str, list[float]] = {kind: [] for kind in chosen}
    some = [example for part in chosen.values() for example in part]
    quiet = copy(config)  # not `replace`: TRL's own derived fields would be refused
    quiet.beta, quiet.eval_strategy, quiet.save_strategy, quiet.report_to = 0.0, "no", "no", []
    quiet.per_device_eval_batch_size = group * max(
        1, int(config.per_device_eval_batch_size) // group
    )
    trainer = make_trainer(
        quiet, [collector(taken)], some, rollouts_for(arguments, quiet, some), model, processor,
        eval_dataset=rows_of(some), **options,
    )  # fmt: skip
    trainer.evaluate()
    return {kind: spread_of(taken[kind], len(part)) for kind, part in chosen.items()}


def choose(examples: Sequence[Example], prompts: int, seed: int) -> dict[str, list[Example]]:
    """Return distinct examples by "dataset/task", a sample where there are more than `prompts`."""
    kinds: dict[str, dict[str, Example]] = {}
    for example in examples:
        kinds.setdefault(kind_of(example), {})[key_of(example)] = example
    maker = random.Random(seed)
    return {
        kind: maker.sample(list(part.values()), min(prompts, len(part)))
        for kind, part in sorted(kinds.items())
    }


def refuse_too_few(chosen: dict[str, list[Example]], group: int) -> None:
    """Refuse a dataset and task whose quartiles would be noise.

    Raises:
        InputError: It has too few prompts or samples.
    """
    for kind, part in chosen.items():
        if len(part) < MIN_PROMPTS or len(part) * group < MIN_SAMPLES:
            raise InputError(
                f"{kind} has {len(part)} prompts and {len(part) * group} samples, too few for "
                f"quartiles; {MIN_PROMPTS} prompts and {MIN_SAMPLES} samples are needed: take more "
                "of it into the mix, or raise num_generations"
            )


def collector(taken: dict[str, list[float]]) -> Callable[..., list[float | None]]:
    """Return a reward for TRL that keeps the raw rewards by kind."""

    def raw(
        completions: Sequence[Any],
        example: Sequence[Example],
        session: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        texts = read_texts(completions, session)
        paid: list[float | None] = []
        for text, one in zip(texts, example, strict=True):
            reward = reward_for(one.task)(text, one)
            taken[kind_of(one)].append(reward)
            paid.append(reward)
        return paid

    return raw


def sampling_of(config: "GRPOConfig") -> dict[str, float]:
    """Return what of the sampling decides the spread."""
    return {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": config.top_k,
        "max_completion_length": config.max_completion_length or 0,
    }


def write_stats(path: Path, stats: RewardStats) -> None:
    """Write the file.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f"{stats.model_dump_json(indent=2)}\n".encode(), mode=ORDINARY)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def read_stats(path: Path) -> RewardStats:
    """Read the file.

    Raises:
        ConfigError: It is not there, or is not one.
    """
    try:
        return RewardStats.model_validate_json(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"the reward percentiles {path} cannot be read ({error.strerror}); write them with "
            "'overread train reward-stats'"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path} holds no reward percentiles: {said}") from error
