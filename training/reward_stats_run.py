"""The command line of the baseline's percentiles.

overread train reward-stats --config training/configs/grpo-bundled.yaml
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from overread.imaging.errors import ConfigError
from overread.training import mixes
from overread.training.arguments import Parsed
from overread.training.grpo_run import read_config
from overread.training.models import check, is_bundled, load, start_weights
from overread.training.reward_stats import RewardStats, measure, sampling_of, write_stats


def measure_baseline(parsed: Parsed) -> RewardStats:
    """Sample the model of a configuration, and write the percentiles of its rewards.

    Raises:
        ConfigError: `reward_stats` names no file, or a setting cannot be used.
        InputError: There are too few samples.
    """
    ours, grpo, config, model_config = parsed.arguments
    if not grpo.reward_stats:
        raise ConfigError("reward_stats must name the file to write")
    check(ours, model_config)
    mix = mixes.resolve(ours.mix)
    model, processor, peft_config = load(ours, model_config)
    spreads = measure(
        grpo, config, mix.train, model, processor, grpo.stats_prompts, peft_config=peft_config
    )
    bundled = is_bundled(model_config)
    named = str(start_weights(ours) or ours.vision) if bundled else model_config.model_name_or_path
    stats = RewardStats(
        model=str(named),
        mix=f"{mix.name} {mix.summary()['sha256'][:16]}",
        seed=config.seed,
        generations=config.num_generations_eval or config.num_generations,
        sampling=sampling_of(config),
        spreads=spreads,
    )
    write_stats(Path(grpo.reward_stats).expanduser(), stats)
    return stats


def main(arguments: Sequence[str]) -> None:
    """Read the configuration, measure, and show what was written."""
    parsed = read_config(arguments)
    stats = measure_baseline(parsed)
    table = Table("dataset/task", "p25", "median", "p75", "mean", "prompts", "samples")
    for kind, spread in stats.spreads.items():
        figures = (spread.p25, spread.p50, spread.p75, spread.mean)
        counts = (spread.prompts, spread.n)
        table.add_row(kind, *(f"{figure:.3f}" for figure in figures), *map(str, counts))
    Console().print(table)
