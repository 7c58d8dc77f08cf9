"""Fit presence probabilities and mask cutoffs per target on validation phantoms."""

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
# Cutoffs tried; 0.5 is taken for a target that no phantom shows.
_CUTOFFS = np.arange(0.3, 0.91, 0.05).round(2)


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


def cutoffs(net: SegmenterNet, pool: Pool) -> dict[str, float]:
    """Return the probability per target from which a pixel is inside.

    It is the one at which the median mask has the area of the truth: overlap losses make masks too
    large at 0.5, and every size that is measured on them.
    """
    net.eval()
    logs: dict[str, list[NDArray[np.float64]]] = {name: [] for name in TARGETS}
    with torch.inference_mode():
        for number, view in enumerate(pool.views):
            masks = pool.masks(number)
            if not masks:
                continue
            letterbox = Letterbox.of(*view.shape[:2])
            ids = torch.tensor(list(masks))
            none = torch.zeros(len(masks), len(PROMPT_CHANNELS), SIDE // 2, SIDE // 2)
            owner = torch.zeros(len(masks), dtype=torch.int64)
            logits = net(view_plane(view, letterbox)[None], owner, ids, none)[0]
            for (target, truth), plane in zip(masks.items(), logits.sigmoid(), strict=True):
                full = letterbox.unfit(plane)
                areas = (full[None] >= _CUTOFFS[:, None, None]).sum((1, 2))
                logs[TARGETS[target]].append(np.log((areas + 1) / (truth.sum() + 1)))
    return {
        name: float(_CUTOFFS[np.abs(np.median(rows, axis=0)).argmin()]) if rows else 0.5
        for name, rows in logs.items()
    }


def calibrate(net: SegmenterNet, pool: Pool) -> dict[str, tuple[float, float, float]]:
    """Return slope, offset and mask cutoff per target.

    sigmoid(slope * logit + offset) is the probability of presence where present and absent are
    equally frequent. Findings are calibrated within their own domains, where the question is hard.
    For the cutoff see `cutoffs`.

    Source: Platt, Probabilistic outputs for support vector machines (1999), with balanced classes.
    """
    logits, (present, known) = presence_logits(net, pool), truth_table(pool)
    cut = cutoffs(net, pool)
    told: dict[str, tuple[float, float, float]] = {}
    for index, name in enumerate(TARGETS):
        rows = known[:, index]
        own = np.array([name in DOMAINS[str(d)][1] for d in pool.domains])
        if own.any():
            rows = rows & own
        told[name] = (*_fit(logits[rows, index], present[rows, index]), cut[name])
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
