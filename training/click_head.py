"""Train the head that follows clicks without a name, on the bundled segmenter's features.

    python -m overread.training.click_head --run runs/clicks
    python -m overread.training.click_head --run runs/second --start FIRST --rate 1e-3 --steps 700

The backbone stays as it is, and with it all masks by name. The same command resumes after a kill; the
second one goes on from earlier weights. Data are phantoms of the training split, which the segmenter's
manifest names already, and slices of real brains from packages (`real_brains`) with painted lesions.
"""

import argparse
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from overread.imaging.errors import OverreadError
from overread.imaging.files import ORDINARY, file_hash, write_whole
from overread.imaging.vocabulary import TARGETS
from overread.tools.bundled_segmenter import CLICKS, WEIGHTS
from overread.tools.click_net import ClickHead
from overread.tools.segmenter_net import SIDE, SegmenterNet
from overread.training.averaged_run import AveragedRun
from overread.training.brain_slices import brain_pool, joined
from overread.training.click_data import ClickBatch, make_clicks
from overread.training.mixed_precision import mixed_precision
from overread.training.real_brains import real_brains
from overread.training.segmenter_data import Pool, load_pool
from overread.training.segmenter_loss import overlap_loss, pixel_loss

VERSION = "2"


@dataclass(frozen=True, slots=True)
class Options:
    """What can be set; the help texts are those of the command line."""

    run: Path = field(default=Path("runs/clicks"), metadata={"help": "checkpoint and log"})
    out: Path = field(default=CLICKS, metadata={"help": "where the weights go"})
    backbone: Path = field(default=WEIGHTS, metadata={"help": "the segmenter that it reads from"})
    cache: Path = field(
        default=Path("~/.cache/overread"), metadata={"help": "where drawn phantoms are kept"}
    )
    start: Path | None = field(
        default=None, metadata={"help": "weights of an earlier round to go on from"}
    )
    steps: int = field(default=1800, metadata={"help": "optimiser steps"})
    batch: int = field(default=6, metadata={"help": "pictures a step"})
    objects: int = field(default=4, metadata={"help": "sessions about each picture"})
    most: int = field(default=4, metadata={"help": "clicks after the first prompt"})
    phantoms: int = field(default=2400, metadata={"help": "training phantoms"})
    brains: int = field(
        default=1200, metadata={"help": "slices of real brains; 0 for phantoms alone"}
    )
    rate: float = field(default=2e-3, metadata={"help": "peak learning rate"})
    seed: int = field(default=0, metadata={"help": "of everything random"})
    threads: int = field(default=1, metadata={"help": "of the processor"})


class Trainer(AveragedRun):
    """The head over a frozen backbone."""

    def __init__(self, options: Options) -> None:
        """Start fresh, or from the run's checkpoint."""
        torch.manual_seed(options.seed)
        self.options = options
        net = SegmenterNet(len(TARGETS))
        net.load_state_dict({k: v.float() for k, v in load_file(options.backbone).items()})
        self.backbone = net.backbone.eval().requires_grad_(False)
        self.head = ClickHead()
        if options.start:
            state = load_file(options.start)
            self.head.load_state_dict({name: value.float() for name, value in state.items()})
        super().__init__(options.run, {"head": self.head}, options.steps, options.rate)

    def train_on(self, batch: ClickBatch) -> dict[str, float]:
        """Let the sessions go on for their rounds, then learn from their last prompts."""
        with torch.no_grad(), mixed_precision():
            maps = self.backbone(batch.view.contiguous(memory_format=torch.channels_last))
            for _ in range(batch.rounds):
                made = self.head(maps, batch.owner, _prompts(batch)) > 0
                for session, mask in zip(batch.sessions, made.numpy(), strict=True):
                    session.go_on(mask)
        with mixed_precision():
            logits = self.head(maps, batch.owner, _prompts(batch))
        return self.learn(
            {
                "pixel": pixel_loss(logits, batch.truth, 0.0).mean(),
                "dice": overlap_loss(logits, batch.truth).mean(),
            }
        )


def _prompts(batch: ClickBatch) -> torch.Tensor:
    return torch.from_numpy(np.stack([session.planes for session in batch.sessions]))


def batch_at(options: Options, pool: Pool, chances: NDArray[np.float64], step: int) -> ClickBatch:
    """Return the batch of a step; it depends on the seed and the step alone."""
    rng = np.random.default_rng([options.seed, step])
    chosen = rng.choice(len(pool.views), options.batch, replace=False, p=chances)
    return make_clicks(pool, chosen, rng, SIDE, options.objects, options.most)


def train(trainer: Trainer, pool: Pool) -> None:
    """Train to the last step."""
    options, chances = trainer.options, pool.chances()
    trainer.go(lambda step: batch_at(options, pool, chances, step), trainer.train_on)


def export(trainer: Trainer) -> None:
    """Write the averaged weights in half precision, with the hash of the backbone's file."""
    options = trainer.options
    weights = save(
        {name: value.half().contiguous() for name, value in trainer.average.items()},
        metadata={"version": VERSION, "backbone": file_hash(options.backbone)},
    )
    write_whole(options.out, weights, mode=ORDINARY)


def pool_of(options: Options) -> Pool:
    """Return the pictures to learn from.

    Raises:
        ConfigError: The packages with real brains are not installed.
    """
    brains = real_brains() if options.brains else []
    phantoms = load_pool("train", options.phantoms, options.seed, options.cache.expanduser())
    return (
        joined(phantoms, brain_pool(brains, options.brains, options.seed)) if brains else phantoms
    )


def main() -> int:
    """Train and export; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for item in fields(Options):
        parser.add_argument(
            f"--{item.name}",
            type=type(item.default) if item.default is not None else Path,
            default=item.default,
            help=item.metadata["help"],
        )
    options = Options(**vars(parser.parse_args()))
    torch.set_num_threads(options.threads)
    try:
        pool = pool_of(options)
    except OverreadError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    options.run.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(options)
    train(trainer, pool)
    export(trainer)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
