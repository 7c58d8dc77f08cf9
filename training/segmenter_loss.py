"""What the segmenter's training minimises."""

import torch
from torch import Tensor
from torch.nn import functional as F

from overread.training.segmenter_data import Batch


def query_losses(
    logits: Tensor, presence: Tensor, batch: Batch, inside: float
) -> dict[str, Tensor]:
    """Return the parts of the loss of the queries: pixels, overlap, presence.

    Args:
        logits: (n, side, side).
        presence: (n,), logits too; counts where presence was asked.
        batch: With the truth.
        inside: Extra weight of the pixels inside a target. Without it small targets are unlearnt at
            first; with it masks come out too large in the end.
    """
    asked = F.binary_cross_entropy_with_logits(presence, batch.present, reduction="none")
    return {
        "pixel": pixel_loss(logits, batch.truth, inside).mean(),
        "dice": _mean(overlap_loss(logits, batch.truth), batch.present),
        "presence": 0.5 * _mean(asked, batch.named),
    }


def dense_loss(logits: Tensor, batch: Batch, inside: float) -> Tensor:
    """Return the loss of the teacher's maps of all targets, where their truth is known.

    Args:
        logits: (images, targets, side / 2, side / 2).
        batch: With the truth.
        inside: As in `query_losses`.
    """
    flat, truth = logits.flatten(0, 1), batch.dense.flatten(0, 1)
    known = batch.known.flatten()
    there = known * (truth.amax((1, 2)) > 0.5)
    return _mean(pixel_loss(flat, truth, inside), known) + _mean(overlap_loss(flat, truth), there)


def pixel_loss(logits: Tensor, truth: Tensor, inside: float) -> Tensor:
    """Return the cross-entropy of each map, (n,), with some extra weight inside the target."""
    each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    within = (each * truth).sum((1, 2)) / truth.sum((1, 2)).clamp_min(1)
    return each.mean((1, 2)) + inside * within


def overlap_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return one minus the soft Dice of each map, (n,).

    Source: Milletari et al., V-Net, 3DV 2016, arXiv:1606.04797.
    """
    inside = logits.sigmoid()
    overlap = 2 * (inside * truth).sum((1, 2)) + 1
    return 1 - overlap / (inside.sum((1, 2)) + truth.sum((1, 2)) + 1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return torch.sum(values * weights) / weights.sum().clamp_min(1)
