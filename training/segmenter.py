"""Train the bundled segmenter on phantoms, calibrate it, and write its weights and card.

    python -m overread.training.segmenter --run runs/segmenter
    python -m overread.training.segmenter --run runs/second --start FIRST --coarse 0 --rate 1.5e-3

The same command resumes after a kill; the second one goes on from earlier weights. Seeds fix the data, the prompts and the start.
"""

import argparse
import json
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import nn

from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms.truth import Split
from overread.imaging.vocabulary import TARGETS
from overread.tools.bundled_segmenter import WEIGHTS
from overread.tools.segmenter_net import SIDE, SegmenterNet
from overread.training import manifest
from overread.training.averaged_run import AveragedRun
from overread.training.mixed_precision import mixed_precision
from overread.training.segmenter_calibration import calibrate
from overread.training.segmenter_card import write_card
from overread.training.segmenter_data import Batch, Pool, load_pool, make_batch
from overread.training.segmenter_loss import dense_loss, query_losses

VERSION = "3"
_COARSE_SIDE = 128


@dataclass(frozen=True, slots=True)
class Options:
    """What can be set; the help texts are those of the command line."""

    run: Path = field(default=Path("runs/segmenter"), metadata={"help": "checkpoints and log"})
    out: Path = field(default=WEIGHTS, metadata={"help": "where the weights go"})
    cache: Path = field(
        default=Path("~/.cache/overread"), metadata={"help": "where drawn phantoms are kept"}
    )
    real: Path | None = field(
        default=None, metadata={"help": "pack of real images with masks, for the card"}
    )
    steps: int = field(default=1350, metadata={"help": "optimiser steps"})
    coarse: int = field(
        default=500, metadata={"help": "first steps at low resolution, which organs do with"}
    )
    start: Path | None = field(
        default=None, metadata={"help": "weights of an earlier round to go on from"}
    )
    batch: int = field(default=8, metadata={"help": "pictures a step"})
    queries: int = field(default=7, metadata={"help": "targets and prompts asked of a picture"})
    phantoms: int = field(default=2800, metadata={"help": "training phantoms"})
    held_out: int = field(default=350, metadata={"help": "validation phantoms, test phantoms"})
    inside: float = field(
        default=0.25, metadata={"help": "extra weight of pixels inside targets; 0 in a last round"}
    )
    rate: float = field(default=2e-3, metadata={"help": "peak learning rate"})
    seed: int = field(default=0, metadata={"help": "of everything random"})
    threads: int = field(default=1, metadata={"help": "of the processor, for the network"})


class Trainer(AveragedRun):
    """The network and its teacher."""

    def __init__(self, options: Options) -> None:
        """Start fresh, or from the run's checkpoint."""
        torch.manual_seed(options.seed)
        self.options = options
        self.net = SegmenterNet(len(TARGETS))
        if options.start is not None:
            self.net.load_state_dict({k: v.float() for k, v in load_file(options.start).items()})
        # Teaches the backbone all targets of a picture at once; not part of the product.
        self.teacher = nn.Conv2d(self.net.backbone.widths[1], len(TARGETS), 1)
        modules = {"net": self.net, "teacher": self.teacher}
        super().__init__(options.run, modules, options.steps, options.rate)

    def train_on(self, batch: Batch) -> dict[str, float]:
        """Take one step and return the losses."""
        self.net.train()
        with mixed_precision():
            maps = self.net.backbone(batch.view.contiguous(memory_format=torch.channels_last))
            words = self.net.words(batch.target)
            logits, presence = self.net.head(maps, batch.owner, words, batch.prompts)
            dense = self.teacher(maps[1]).float()
        inside = self.options.inside
        return self.learn(
            {
                **query_losses(logits, presence, batch, inside),
                "dense": dense_loss(dense, batch, inside),
            }
        )


def batch_at(options: Options, pool: Pool, chances: NDArray[np.float64], step: int) -> Batch:
    """Return the batch of a step; it depends on the seed and the step alone."""
    rng = np.random.default_rng([options.seed, step])
    chosen = rng.choice(len(pool.views), options.batch, replace=False, p=chances)
    side = _COARSE_SIDE if step < options.coarse else SIDE
    return make_batch(pool, chosen, rng, side, options.queries)


def train(trainer: Trainer, pool: Pool) -> None:
    """Train to the last step."""
    options, chances = trainer.options, pool.chances()
    trainer.go(lambda step: batch_at(options, pool, chances, step), trainer.train_on)


def export(trainer: Trainer, calibration: dict[str, tuple[float, float, float]]) -> None:
    """Write the averaged weights in half precision with names and calibration, and a manifest."""
    out = trainer.options.out
    manifest.write(out.parent, trained_on(trainer.options))
    weights = save(
        {name: value.half().contiguous() for name, value in trainer.average.items()},
        metadata={
            "version": VERSION,
            "targets": json.dumps(TARGETS),
            "calibration": json.dumps(calibration),
        },
    )
    write_whole(out, weights, mode=ORDINARY)


def trained_on(options: Options) -> list[str]:
    """Return the lines of the manifest: what `load_pool` gives, and what earlier weights knew."""
    sizes: dict[Split, int] = {"train": options.phantoms, "validation": options.held_out}
    lines = [] if options.start is None else manifest.inherited(options.start)
    for split, number in sizes.items():
        lines += manifest.lines_of(manifest.sampled(split, number, options.seed))
    return lines


def parse() -> Options:
    """Read the command line; its options are the fields of `Options`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for item in fields(Options):
        paths = ("run", "out", "cache", "real", "start")
        kind = Path if item.name in paths else type(item.default)
        parser.add_argument(
            f"--{item.name.replace('_', '-')}",
            type=kind,
            default=item.default,
            help=item.metadata["help"],
        )
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Train, calibrate, export and describe."""
    options = parse()
    torch.set_num_threads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)
    cache = options.cache.expanduser()
    trainer = Trainer(options)
    train(trainer, load_pool("train", options.phantoms, options.seed, cache))
    trainer.net.load_state_dict(trainer.average)
    validation = load_pool("validation", options.held_out, options.seed, cache)
    export(trainer, calibrate(trainer.net, validation))
    write_card(options.out, load_pool("test", options.held_out, options.seed, cache), options.real)


if __name__ == "__main__":
    main()
