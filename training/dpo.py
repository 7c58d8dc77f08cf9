"""Direct preference optimisation on pairs, over TRL's trainer.

    overread train dpo --config training/configs/dpo-bundled.yaml --resume

Pairs come from `overread train pairs`. The reference is the model as the run finds it: of a model in a
folder its weights without the new adapter, of the bundled planner a copy of the adapter that it comes
with, which TRL keeps beside the trained one. Connector and vision tower of the bundled planner have no
copy, so its reference log-probabilities are computed once, before any of them changes.

Source: Rafailov et al., Direct preference optimization, arXiv:2305.18290; RAG-PT's settings (beta 0.1,
reference with the adapter off) are those of MMed-RAG, arXiv:2410.13085.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from trl import DPOConfig, ModelConfig

from overread.imaging.errors import ConfigError, InputError
from overread.training import mixes
from overread.training.arguments import OurArguments, Parsed, parse, run_script
from overread.training.dpo_trainer import PairTrainer, make_trainer
from overread.training.examples import Pair, PairKind, read_lines
from overread.training.finishing import finish
from overread.training.guards import check_examples, resume_point
from overread.training.models import check, earlier_lines, is_bundled, load
from overread.training.pair_balance import at_most, balanced
from overread.training.pairs import check_splits
from overread.training.planner_parts import PlannerParts, learning, let_learn
from overread.training.progress import report_to_tensorboard, show_progress
from overread.training.run_folder import RunFolder

_REFERENCE = "ref"  # TRL's name of the copied adapter


@dataclass
class DpoArguments(OurArguments):
    """What is ours in a DPO configuration; every other key is TRL's."""

    pairs: str = field(
        default="", metadata={"help": "Pairs: a JSON-lines file of 'overread train pairs'."}
    )
    balance: bool = field(
        default=True,
        metadata={"help": "Thin the pairs that prefer yes, or no, until both are as many."},
    )
    at_most: list[str] = field(
        default_factory=list,
        metadata={"help": "Most pairs of a kind, after balancing: 'look=40 call_tool=90'."},
    )

    def limits(self) -> dict[str, int]:
        """Return how many pairs of which kinds are taken at most.

        Raises:
            ConfigError: A limit names no kind of pairs, or no number above 0.
        """
        limits = {}
        for text in self.at_most:
            kind, _, number = text.partition("=")
            if kind not in get_args(PairKind) or not number.isdecimal() or not int(number):
                raise ConfigError(
                    f"at_most has '{text}'; give KIND=NUMBER, a kind being one of "
                    f"{', '.join(get_args(PairKind))}"
                )
            limits[kind] = int(number)
        return limits


class PlannerPairTrainer(PlannerParts, PairTrainer):
    """Trains the bundled planner's adapter, connector and tower on pairs."""


def train(parsed: Parsed) -> Path:
    """Train, or go on training, and return the run folder.

    Raises:
        ConfigError: A setting cannot be used. InputError: The pairs cannot.
        TrainingStopped: See `overread.training.guards`.
    """
    ours, config, model_config = parsed.arguments
    check(ours, model_config)
    bundled = is_bundled(model_config)
    _check(ours, config, bundled)
    out = Path(config.output_dir)
    start = resume_point(out, ours.resume)
    path = Path(ours.pairs).expanduser()
    pairs = read_pairs(path)
    all_pairs = [pair for pair in pairs if pair.split == "train"]
    even_pairs = balanced(all_pairs) if ours.balance else all_pairs
    if all_pairs and not even_pairs:
        raise InputError(
            f"all {len(all_pairs)} pairs of {path} prefer the same of yes and no, so none is left when "
            "they are balanced; add others, or set balance: false"
        )
    train_pairs = at_most(even_pairs, ours.limits())
    held = [pair for pair in pairs if pair.split == "validation"]
    known = (*mixes.manifest_lines(pairs), *earlier_lines(ours, model_config))
    folder = RunFolder(out, "dpo", known)
    report_to_tensorboard(config, parsed.stated)
    model, processor, peft_config = load(ours, model_config)
    kind = PlannerPairTrainer if bundled else PairTrainer
    try:
        trainer, left_out = make_trainer(
            model, processor, train_pairs, held, config, ours.image_size, kind,
            peft_config=peft_config,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise ConfigError(f"TRL refuses this: {' '.join(str(error).split())}") from error
    if config.process_index == 0:
        left_out_of = {
            "too long": left_out,
            "yes or no too often": len(all_pairs) - len(even_pairs),
            "above 'at_most'": len(even_pairs) - len(train_pairs),
        }
        told = {**summary(path, train_pairs, held), "left_out": left_out_of}
        folder.begin(parsed, told, config.seed)
    if isinstance(trainer, PlannerPairTrainer):
        trainer.ours, trainer.known = ours, known
        _drop_reference(trainer.model, learning(ours))
    show_progress(trainer, f"dpo {out.name}")
    trainer.train(resume_from_checkpoint=start)
    finish(trainer, folder, bundled, _margins(trainer.state.log_history))
    return out


def read_pairs(path: Path) -> list[Pair]:
    """Return the pairs of a file, checked.

    Raises:
        InputError: It is not there, a line is wrong, a pair is of the test split, a patient is in
            two splits, or an image is missing.
    """
    if not path.is_file():
        raise InputError(f"there are no pairs at '{path}'; name a file by 'pairs'")
    pairs = list(read_lines(path, Pair))
    check_splits(pairs)
    check_examples(pairs, str(path))
    return pairs


def summary(path: Path, train_pairs: Sequence[Pair], held: Sequence[Pair]) -> dict[str, Any]:
    """Return counts and hash of pairs, as a run folder notes them."""
    told = {
        name: mixes.counts(some, lambda pair: pair.kind)
        for name, some in (("train", train_pairs), ("validation", held))
    }
    return {"name": path.stem, **told, "sha256": mixes.digest([*train_pairs, *held])}


def _check(ours: DpoArguments, config: DPOConfig, bundled: bool) -> None:
    """Refuse, before any work, what would train something else than it says.

    Raises:
        ConfigError: Such a setting.
    """
    if ours.mix:
        raise ConfigError("DPO learns from 'pairs'; remove 'mix', which 'train pairs' reads")
    if ours.longest is not None:
        raise ConfigError("use max_length: longer pairs are left out whole")
    ours.limits()
    if config.load_best_model_at_end:
        raise ConfigError("load_best_model_at_end is not supported: choose among the checkpoints")
    if bundled and not config.precompute_ref_log_probs:
        raise ConfigError(
            "the bundled planner's connector and tower are trained, too, and the reference must not "
            "move with them: set precompute_ref_log_probs: true"
        )


def _drop_reference(model: Any, parts: Sequence[str]) -> None:
    """Let the copied adapter go: its log-probabilities are computed, and it is not ours to save."""
    if _REFERENCE in model.peft_config:
        model.delete_adapter(_REFERENCE)
    let_learn(model, parts)  # adding an adapter froze the other parts


def _margins(history: Sequence[dict[str, Any]]) -> list[str]:
    rows = [row for row in history if "rewards/margins" in row]
    if not rows:
        return []
    first, last = rows[0], rows[-1]
    told = (
        f"Reward margin {first['rewards/margins']:.3f} at step {first['step']}, "
        f"{last['rewards/margins']:.3f} at step {last['step']}; the chosen reply is ahead in "
        f"{100 * last['rewards/accuracies']:.0f} % of the last pairs."
    )
    return ["## Margins", "", told]


def main(arguments: Sequence[str]) -> None:
    """Read the configuration and train."""
    train(parse(arguments, DpoArguments, DPOConfig, ModelConfig))


if __name__ == "__main__":
    run_script(main)
