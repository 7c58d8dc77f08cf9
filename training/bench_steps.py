"""Step time of our trainers over that of the bare TRL trainers, on the same model and batches.

    python -m overread.training.bench_steps --model FOLDER --trainer dpo --steps 12 --rounds 5

They take turns, so that other load on the machine meets both; a round's ratio is of medians over its
steps, and the figure that counts is the median over rounds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import ModelConfig

from overread.training.bench_trainers import TRAINERS, Build, Way
from overread.training.examples import Example
from overread.training.phantom_examples import phantom_examples

WARM_UP = 2
"""First steps of a round that are not counted."""


class Clock(TrainerCallback):
    """Seconds from the end of a step to the end of the next, the batch included."""

    def __init__(self) -> None:
        """Begin."""
        self.seconds: list[float] = []
        self._last = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start."""
        self._last = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note a step."""
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


def measure(
    build: Build,
    way: Way,
    model: ModelConfig,
    examples: Sequence[Example],
    steps: int,
    batch: int,
) -> list[float]:
    """Return the seconds of each step of one short training, the first ones left out."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(way, model, examples, Path(folder), steps + WARM_UP, batch)
        trainer.add_callback(clock)
        trainer.train()
    return clock.seconds[WARM_UP:]


def main() -> None:
    """Measure by turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="Folder of a small model.")
    parser.add_argument("--trainer", choices=sorted(TRAINERS), default="sft")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    model, build = ModelConfig(str(args.model)), TRAINERS[args.trainer]
    found: dict[Way, list[float]] = {"ours": [], "bare": []}
    ratios = []
    with tempfile.TemporaryDirectory() as cache:
        made = [one for one in phantom_examples("train", 28, Path(cache)) if one.task == "closed"]
    for number in range(args.rounds):
        order: tuple[Way, Way] = ("ours", "bare") if number % 2 else ("bare", "ours")
        medians: dict[Way, float] = {}
        for way in order:
            seconds = measure(build, way, model, made, args.steps, args.batch)
            found[way] += seconds
            medians[way] = statistics.median(seconds)
        ratios.append(medians["ours"] / medians["bare"])
    ours, bare = (statistics.median(found[way]) for way in ("ours", "bare"))
    told = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    Console().print(
        f"{args.trainer}: ours {1000 * ours:.0f} ms, bare TRL {1000 * bare:.0f} ms a step; "
        f"by round {told}; median {statistics.median(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
