"""Supervised fine-tuning on a mix, over TRL's trainer.

    overread train sft --config training/configs/sft-bundled.yaml --resume
    accelerate launch --config_file training/configs/accelerate-fsdp.yaml \
        -m overread.training.sft --config training/configs/sft-fsdp.yaml

Ours: the data, the guards, the run folder, and for the bundled planner a loss that is cheap on a CPU.
All else is TRL's and set by TRL's own keys. The same command goes on after a kill.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import ModelConfig, SFTConfig, SFTTrainer

from overread.imaging.errors import ConfigError, InputError
from overread.training import mixes
from overread.training.arguments import OurArguments, Parsed, parse, run_script
from overread.training.collate import PlannerCollator, TurnCollator, encode, image_marks, turns
from overread.training.examples import Example
from overread.training.finishing import finish
from overread.training.guards import Guarded, resume_point
from overread.training.models import check, earlier_lines, is_bundled, load
from overread.training.planner_parts import IGNORED, PlannerParts
from overread.training.progress import report_to_tensorboard, show_progress
from overread.training.run_folder import RunFolder


class VlmTrainer(Guarded, SFTTrainer):
    """TRL's trainer with our guards."""


class PlannerTrainer(PlannerParts, Guarded, SFTTrainer):
    """Trains the bundled planner; computes logits at labelled positions alone, in bfloat16.

    TRL's fused head covers every position in float32: nearly half of a step on a CPU.
    """

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the mean cross-entropy of the labelled tokens."""
        planner = self.accelerator.unwrap_model(model).get_base_model()
        labels = inputs.pop("labels")[:, 1:]
        states = planner.model(**inputs, use_cache=False).last_hidden_state[:, :-1]
        kept = labels != IGNORED
        logits = planner.lm_head(states[kept]).float()
        loss = torch.nn.functional.cross_entropy(logits, labels[kept], reduction="sum")
        loss = loss / (int(kept.sum()) if num_items_in_batch is None else num_items_in_batch)
        return (loss, {"logits": logits}) if return_outputs else loss


def train(parsed: Parsed) -> Path:
    """Train, or go on training, and return the run folder.

    Raises:
        ConfigError: A setting cannot be used. InputError: The data cannot.
        TrainingStopped: See `overread.training.guards`.
    """
    ours, config, model_config = parsed.arguments
    check(ours, model_config)
    out = Path(config.output_dir)
    start = resume_point(out, ours.resume)
    mix = mixes.resolve(ours.mix)
    learnt = mixes.manifest_lines([*mix.train, *mix.validation])
    known = (*learnt, *earlier_lines(ours, model_config))
    folder = RunFolder(out, "sft", known)
    _complete(config, parsed.stated, ours)
    model, processor, peft_config = load(ours, model_config)
    bundled = is_bundled(model_config)
    collator: Any
    if bundled:
        collator = PlannerCollator(processor.tokenizer.pad_token_id, config.seed)
    else:
        collator = TurnCollator(processor, config.max_length, ours.image_size)
    parts = [_rows(part, processor, ours, bundled) for part in (mix.train, mix.validation)]
    (train_rows, left_out), (validation_rows, _) = parts
    if not train_rows:
        raise InputError(f"the mix '{ours.mix}' has nothing to learn: {_told(left_out)}")
    if config.process_index == 0:
        folder.begin(parsed, {**mix.summary(), "left_out": left_out}, config.seed)
    try:
        trainer: Any = (PlannerTrainer if bundled else VlmTrainer)(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(train_rows),
            eval_dataset=Dataset.from_list(validation_rows) if validation_rows else None,
            processing_class=processor,
            data_collator=collator,
            peft_config=peft_config,
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"TRL refuses this: {' '.join(str(error).split())}") from error
    if bundled:
        trainer.ours, trainer.known = ours, known
    show_progress(trainer, f"sft {out.name}")
    trainer.train(resume_from_checkpoint=start)
    finish(trainer, folder, bundled)
    return out


def _complete(config: SFTConfig, stated: frozenset[str], ours: OurArguments) -> None:
    """Set what our rows need, and what a user did not say."""
    config.remove_unused_columns = False
    given = config.dataset_kwargs
    kwargs = given if isinstance(given, dict) else {}
    config.dataset_kwargs = {**kwargs, "skip_prepare_dataset": True}
    if config.load_best_model_at_end:
        raise ConfigError("load_best_model_at_end is not supported: choose among the checkpoints")
    if ours.longest is not None and config.max_length is not None and "max_length" in stated:
        raise ConfigError("'longest' and max_length exclude each other; remove one")
    report_to_tensorboard(config, stated)


def _rows(
    examples: Sequence[Example], processor: Any, ours: OurArguments, bundled: bool
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return rows in the order of the examples, and what was left out for which reason."""
    left_out = {"nothing to learn": 0, "too long": 0}
    rows: list[dict[str, Any]] = []
    marks = image_marks(processor.tokenizer) if bundled and examples else ""
    for place, example in enumerate(examples):
        if not bundled:
            made = turns(example)
            left_out["nothing to learn"] += not made
            rows += made
            continue
        row = encode(example, processor.tokenizer, marks)
        if all(label == IGNORED for label in row["labels"]):
            left_out["nothing to learn"] += 1
        elif ours.longest is not None and row["length"] > ours.longest:
            left_out["too long"] += 1
        else:
            rows.append({**row, "place": place})
    return rows, left_out


def _told(left_out: dict[str, int]) -> str:
    return (
        ", ".join(f"{number} {why}" for why, number in left_out.items() if number) or "it is empty"
    )


def main(arguments: Sequence[str]) -> None:
    """Read the configuration and train."""
    train(parse(arguments, OurArguments, SFTConfig, ModelConfig))


if __name__ == "__main__":
    run_script(main)
