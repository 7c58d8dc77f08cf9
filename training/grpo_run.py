"""The command line of GRPO: from a configuration to a run folder.

overread train grpo --config training/configs/grpo-bundled.yaml --resume
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trl import GRPOConfig, ModelConfig

from overread.training import mixes
from overread.training.arguments import OurArguments, Parsed, parse, run_script
from overread.training.finishing import finish
from overread.training.grpo import GrpoArguments, build_trainer
from overread.training.grpo_trainer import PlannerPolicyTrainer, PolicyTrainer
from overread.training.guards import resume_point
from overread.training.models import check, earlier_lines, is_bundled, load
from overread.training.progress import report_to_tensorboard, show_progress
from overread.training.reward_stats import read_stats
from overread.training.run_folder import RunFolder


def read_config(arguments: Sequence[str]) -> Parsed:
    """Read a configuration of GRPO.

    Raises:
        ConfigError: A key is unknown, or a value is not allowed.
    """
    return parse(arguments, OurArguments, GrpoArguments, GRPOConfig, ModelConfig)


def train(parsed: Parsed) -> Path:
    """Train, or go on training, and return the run folder.

    Raises:
        ConfigError: A setting cannot be used. InputError: The data cannot.
        TrainingStopped: See `overread.training.guards`.
    """
    ours, grpo, config, model_config = parsed.arguments
    check(ours, model_config)
    out = Path(config.output_dir)
    start = resume_point(out, ours.resume)
    mix = mixes.resolve(ours.mix)
    learnt = mixes.manifest_lines(mix.train)
    known = (*learnt, *earlier_lines(ours, model_config))
    stats = read_stats(Path(grpo.reward_stats).expanduser()) if grpo.reward_stats else None
    report_to_tensorboard(config, parsed.stated)
    model, processor, peft_config = load(ours, model_config)
    bundled = is_bundled(model_config)
    trainer: Any = build_trainer(
        grpo,
        config,
        mix.train,
        stats.spreads if stats else None,
        model,
        processor,
        peft_config=peft_config,
        kind=PlannerPolicyTrainer if bundled else PolicyTrainer,
    )
    folder = RunFolder(out, "grpo", known)
    if config.process_index == 0:
        folder.begin(parsed, mix.summary(), config.seed)
    if bundled:
        trainer.ours, trainer.known = ours, known
    show_progress(trainer, f"grpo {out.name}")
    trainer.train(resume_from_checkpoint=start)
    finish(trainer, folder, bundled, _notes(trainer))
    return out


def _notes(trainer: Any) -> list[str]:
    """Return what the alarms had to say, for the model card."""
    from overread.training.alarms import Watch

    watches = [one for one in trainer.callback_handler.callbacks if isinstance(one, Watch)]
    told = [f"Alarm at step {step}: {name}." for w in watches for name, step in w.sounded.items()]
    stopped = [f"Stopped by the alarm: {w.stopped_by}." for w in watches if w.stopped_by]
    return [*told, *stopped] or ["No alarm sounded."]


def main(arguments: Sequence[str]) -> None:
    """Read the configuration and train."""
    train(read_config(arguments))


if __name__ == "__main__":
    run_script(main)
