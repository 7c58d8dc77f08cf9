"""Turn presence logits into probabilities, per target, on validation phantoms."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from overread.imaging.vocabulary import DOMAINS, TARGETS
from overread.tools.prompts import Letterbox, view_plane
from overread.tools.segmenter_net import PROMPT_CHANNELS, SIDE, SegmenterNet
from overread.training.segmenter_data import Pool, may_be_absent

# Pulls slopes towards 1, so that a target that is told apart perfectly keeps a finite confidence.
_PULL = 0.02


def presence_logits(net: SegmenterNet, pool: Pool) -> NDArray[np.float32]:
    """Return the presence logit of every target in every phantom, (n, targets)."""
    net.eval()
    count = len(TARGETS)
    target = torch.arange(count)
    none = torch.zeros(count, len(PROMPT_CHANNELS), SIDE // 2, SIDE // 2)
    rows = []
    with torch.inference_mode():
        for view in pool.views:
            planes = view_plane(view, Letterbox.of(*view.shape[:2]))[None]
            owner = torch.zeros(count, dtype=torch.int64)
            rows.append(net(planes, owner, target, none)[1].numpy())
    return np.stack(rows)


def truth_table(pool: Pool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which target is in which phantom, and where that question has an answer."""
    present = np.zeros((len(pool.views), len(TARGETS)), bool)
    present[pool.owner, pool.target] = True
    sure = np.array([[may_be_absent(str(d), name) for name in TARGETS] for d in pool.domains])
    return present, sure | present


def calibrate(net: SegmenterNet, pool: Pool) -> dict[str, tuple[float, float]]:
    """Return a slope and an offset per target, such that sigmoid(slope * logit + offset) is the
    probability of presence where present and absent are equally frequent.

    Findings are calibrated within their own domains, where the question is hard.

    Source: Platt, Probabilistic outputs for support vector machines (1999), with balanced classes.
    """  # noqa: D205
    logits, (present, known) = presence_logits(net, pool), truth_table(pool)
    told: dict[str, tuple[float, float]] = {}
    for index, name in enumerate(TARGETS):
        rows = known[:, index]
        own = np.array([name in DOMAINS[str(d)][1] for d in pool.domains])
        if own.any():
            rows = rows & own
        told[name] = _fit(logits[rows, index], present[rows, index])
    return told


def _fit(logits: NDArray[np.float32], present: NDArray[np.bool_]) -> tuple[float, float]:
    sign = np.where(present, 1.0, -1.0)
    share = present.mean().clip(0.02, 0.98)
    weight = np.where(present, 0.5 / share, 0.5 / (1 - share))

    def cost(x: NDArray[np.float64]) -> float:
        margin = sign * (np.exp(x[0]) * logits + x[1])
        return float((weight * np.logaddexp(0, -margin)).mean() + _PULL * (x[0] ** 2 + x[1] ** 2))

    slope, offset = minimize(cost, np.zeros(2)).x
    return round(float(np.exp(slope)), 4), round(float(offset), 4)
