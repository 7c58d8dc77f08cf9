"""Our trainers and TRL's bare ones, on the same model, batches and settings: what `bench_steps` times.

The bare ones get pictures that are open already and TRL's own collators; GRPO's is paid by one line.
Ours open images from their references and have all that `overread train` has: guards, progress,
TensorBoard, rewards and alarms.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from transformers import Trainer
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, ModelConfig, SFTConfig, SFTTrainer

from overread.training.arguments import OurArguments
from overread.training.collate import TurnCollator, turns
from overread.training.dpo_trainer import make_trainer
from overread.training.examples import Example, Pair, open_image
from overread.training.grpo import GrpoArguments, build_trainer
from overread.training.models import load
from overread.training.progress import show_progress
from overread.training.rollouts import prompt_of
from overread.training.sft import VlmTrainer

Way = Literal["ours", "bare"]
Build = Callable[[Way, ModelConfig, Sequence[Example], Path, int, int], Trainer]

LONGEST_COMPLETION, GENERATIONS = 24, 4


def sft(
    way: Way, model: ModelConfig, examples: Sequence[Example], folder: Path, steps: int, batch: int
) -> Trainer:
    """Return a trainer for supervised fine-tuning."""
    loaded = _loaded(model)
    config = SFTConfig(**_settings(way, folder, steps, batch), max_length=None)
    rows = [row for example in examples for row in turns(example)]
    if way == "bare":
        return SFTTrainer(
            args=config, train_dataset=Dataset.from_list(_open(rows, examples)), **loaded
        )
    config.dataset_kwargs = {"skip_prepare_dataset": True}
    collator: Any = TurnCollator(loaded["processing_class"], None, OurArguments().image_size)
    return _shown(
        VlmTrainer(
            args=config, train_dataset=Dataset.from_list(rows), data_collator=collator, **loaded
        )
    )


def dpo(
    way: Way, model: ModelConfig, examples: Sequence[Example], folder: Path, steps: int, batch: int
) -> Trainer:
    """Return a trainer on pairs: each reference answer against one that gives up."""
    loaded = _loaded(model)
    config = DPOConfig(**_settings(way, folder, steps, batch), max_length=None)
    pairs = [_pair(example) for example in examples]
    if way == "ours":
        processor = loaded.pop("processing_class")
        size = OurArguments().image_size
        trainer, _ = make_trainer(loaded.pop("model"), processor, pairs, [], config, size, **loaded)
        return _shown(trainer)
    rows = [
        {
            "prompt": _in_parts(pair.messages),
            "chosen": _in_parts([{"role": "assistant", "content": pair.chosen}]),
            "rejected": _in_parts([{"role": "assistant", "content": pair.rejected}]),
            "images": [open_image(ref) for ref in pair.images],
        }
        for pair in pairs
    ]
    return DPOTrainer(args=config, train_dataset=Dataset.from_list(rows), **loaded)


def grpo(
    way: Way, model: ModelConfig, examples: Sequence[Example], folder: Path, steps: int, batch: int
) -> Trainer:
    """Return a trainer on rewards, of one turn; sessions with tools have no bare counterpart."""
    loaded = _loaded(model)
    functions: list[Any] = [_contains]
    config = GRPOConfig(
        **_settings(way, folder, steps, batch), num_generations=GENERATIONS,
        max_completion_length=LONGEST_COMPLETION,
    )  # fmt: skip
    if way == "ours":
        arguments = GrpoArguments(rewards="raw", probes="warn")
        return _shown(
            build_trainer(
                arguments, config, examples, None,
                loaded.pop("model"), loaded.pop("processing_class"), **loaded,
            )
        )  # fmt: skip
    rows = [
        {
            "prompt": _in_parts(prompt_of(example)),
            "answer": _answer(example),
            "images": [open_image(ref) for ref in example.images],
        }
        for example in examples
    ]
    return GRPOTrainer(
        args=config, reward_funcs=functions, train_dataset=Dataset.from_list(rows), **loaded
    )


TRAINERS: dict[str, Build] = {"sft": sft, "dpo": dpo, "grpo": grpo}


def _loaded(model: ModelConfig) -> dict[str, Any]:
    loaded, processor, peft_config = load(OurArguments(), model)
    return {"model": loaded, "processing_class": processor, "peft_config": peft_config}


def _settings(way: Way, folder: Path, steps: int, batch: int) -> dict[str, Any]:
    return {
        "output_dir": str(folder), "max_steps": steps, "per_device_train_batch_size": batch,
        "save_strategy": "no", "logging_steps": 1, "use_cpu": True, "bf16": False, "seed": 0,
        "gradient_checkpointing": False, "disable_tqdm": True, "remove_unused_columns": False,
        "report_to": ["tensorboard"] if way == "ours" else "none",
    }  # fmt: skip


def _shown(trainer: Any) -> Trainer:
    show_progress(trainer, "ours")
    return trainer


def _answer(example: Example) -> str:
    return str(example.messages[-1]["content"])


def _pair(example: Example) -> Pair:
    return Pair(
        id=example.id, dataset=example.dataset, kind="correction", patient=example.patient,
        split=example.split, messages=example.messages[:-1], images=example.images,
        chosen=_answer(example), rejected="I cannot tell.",
    )  # fmt: skip


def _contains(completions: list[Any], answer: list[str], **_: Any) -> list[float]:
    said = [completion[0]["content"].lower() for completion in completions]
    return [float(right.lower() in text) for right, text in zip(answer, said, strict=True)]


def _open(rows: Sequence[dict[str, Any]], examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Return rows as TRL documents them: messages and open pictures."""
    pictures = [[open_image(ref) for ref in example.images] for example in examples]
    return [
        {
            "prompt": _in_parts(json.loads(row["prompt"])),
            "completion": _in_parts(json.loads(row["completion"])),
            "images": shown,
        }
        for row, shown in zip(rows, pictures, strict=True)
    ]


def _in_parts(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages whose contents are all lists, as a table of datasets needs."""
    return [
        {**message, "content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in messages
    ]
