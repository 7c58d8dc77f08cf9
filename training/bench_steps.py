"""Step time of our SFT trainer over that of the bare TRL trainer, on the same model and batches.

    python -m overread.training.bench_steps --model FOLDER --steps 12 --rounds 5

Ours has all that `overread train sft` has: guards, images opened from their references, progress,
TensorBoard. The bare one gets pictures that are open already and TRL's own collator. They take turns,
so that other load on the machine meets both; a ratio is of medians over steps.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import ModelConfig, SFTConfig, SFTTrainer

from overread.training.arguments import OurArguments
from overread.training.collate import TurnCollator, turns
from overread.training.examples import Example, open_image
from overread.training.models import load
from overread.training.phantom_examples import phantom_examples
from overread.training.progress import show_progress
from overread.training.sft import VlmTrainer

Way = Literal["ours", "bare"]
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
    way: Way, model: ModelConfig, examples: Sequence[Example], steps: int, batch: int
) -> list[float]:
    """Return the seconds of each step of one short training, the first ones left out."""
    ours = OurArguments()
    loaded, processor, peft_config = load(ours, model)
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder, max_steps=steps + WARM_UP, per_device_train_batch_size=batch,
            save_strategy="no", logging_steps=1, use_cpu=True, bf16=False, seed=0, max_length=None,
            gradient_checkpointing=False, report_to=["tensorboard"] if way == "ours" else "none",
            disable_tqdm=True, remove_unused_columns=False,
        )  # fmt: skip
        rows = [row for example in examples for row in turns(example)]
        common: dict[str, Any] = {
            "model": loaded, "args": config, "processing_class": processor,
            "peft_config": peft_config,
        }  # fmt: skip
        clock = Clock()
        trainer: SFTTrainer
        if way == "ours":
            config.dataset_kwargs = {"skip_prepare_dataset": True}
            collator: Any = TurnCollator(processor, None, ours.image_size)
            trainer = VlmTrainer(
                train_dataset=Dataset.from_list(rows), data_collator=collator, **common
            )
            show_progress(trainer, "ours")
        else:
            trainer = SFTTrainer(train_dataset=Dataset.from_list(_open(rows, examples)), **common)
        trainer.add_callback(clock)
        trainer.train()
    return clock.seconds[WARM_UP:]


def _open(rows: Sequence[dict[str, Any]], examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Return rows as TRL documents them: messages and open pictures."""
    pictures = [[open_image(ref) for ref in example.images] for example in examples]
    return [
        {
            "prompt": _in_parts(row["prompt"]),
            "completion": _in_parts(row["completion"]),
            "images": shown,
        }
        for row, shown in zip(rows, pictures, strict=True)
    ]


def _in_parts(messages: str) -> list[dict[str, Any]]:
    """Return messages whose contents are all lists, as a table of datasets needs."""
    return [
        {**message, "content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in json.loads(messages)
    ]


def main() -> None:
    """Measure by turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="Folder of a small model.")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    model = ModelConfig(str(args.model))
    found: dict[Way, list[float]] = {"ours": [], "bare": []}
    ratios = []
    with tempfile.TemporaryDirectory() as cache:
        made = [one for one in phantom_examples("train", 28, Path(cache)) if one.task == "closed"]
    for number in range(args.rounds):
        order: tuple[Way, Way] = ("ours", "bare") if number % 2 else ("bare", "ours")
        medians: dict[Way, float] = {}
        for way in order:
            seconds = measure(way, model, made, args.steps, args.batch)
            found[way] += seconds
            medians[way] = statistics.median(seconds)
        ratios.append(medians["ours"] / medians["bare"])
    ours, bare = (statistics.median(found[way]) for way in ("ours", "bare"))
    told = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    Console().print(
        f"ours {1000 * ours:.0f} ms, bare TRL {1000 * bare:.0f} ms a step; ratio {ours / bare:.3f}; "
        f"by round {told}, median {statistics.median(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
