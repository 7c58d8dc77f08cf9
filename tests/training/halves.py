"""A small network's training that is broken off after half of its steps, and gone on with."""

from dataclasses import replace
from typing import Any

import torch

from overread.training.segmenter_data import Pool


def check_that_halves_make_the_whole(recipe: Any, whole: Any, pool: Pool) -> Any:
    """Train in two halves what `whole` trained at once; return the options of the halves.

    Args:
        recipe: Module with `Trainer`, `batch_at` and `train`.
        whole: A finished trainer.
        pool: That it learnt from.
    """
    halves = replace(whole.options, run=whole.options.run.parent / "halves")
    halves.run.mkdir()
    first = recipe.Trainer(halves)
    for step in range(2):
        first.train_on(recipe.batch_at(halves, pool, pool.chances(), step))
    first.save()
    second = recipe.Trainer(halves)
    assert second.step == 2
    recipe.train(second, pool)
    for name, value in whole.average.items():
        assert torch.allclose(value, second.average[name], atol=1e-5), name
    return halves
