"""`overread train`: align planners by SFT, DPO and GRPO. Each sub-command reads TRL's own keys."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from overread.ui.commands import train_export, train_pairs, train_prompts

app = typer.Typer(
    help="Train planners with TRL: data mixes, checkpoints, cards.", no_args_is_help=True
)

_FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True}

_KEYS = "overread train {name} --config CONFIG.yaml [--resume] [--any-trl-key VALUE]"

COMMANDS = {
    "sft": ("overread.training.sft", "Supervised fine-tuning on a data mix."),
    "dpo": ("overread.training.dpo", "DPO on the pairs that 'train pairs' builds."),
    "grpo": ("overread.training.grpo_run", "GRPO with normalised rewards and agent sessions."),
    "reward-stats": (
        "overread.training.reward_stats_run",
        "Measure the baseline's rewards that a GRPO configuration is scaled by.",
    ),
}
"""Sub-command to the module whose `main(arguments)` does the work, and what it does."""


def _forward(module: str) -> Callable[..., None]:
    def command(
        context: typer.Context,
        config: Annotated[Path | None, typer.Option(help="YAML of TRL's keys and ours.")] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on from the newest checkpoint, if any.")
        ] = False,
    ) -> None:
        told = [] if config is None else ["--config", str(config)]
        import_module(module).main([*told, *(["--resume"] if resume else []), *context.args])

    return command


for _name, (_module, _what) in COMMANDS.items():
    _help = (
        f"{_what}\n\n{_KEYS.format(name=_name)}\n\nKeys are those of TRL's own dataclasses and a "
        "few of ours; docs/training.md lists them, training/configs/ has examples."
    )
    app.command(_name, help=_help, context_settings=_FORWARDED, no_args_is_help=True)(
        _forward(_module)
    )
app.command()(train_export.export)
app.command()(train_pairs.pairs)
app.command()(train_prompts.prompts)
