"""What the click head learns to outline: structures and findings of phantoms, and mere regions."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import felzenszwalb
from torch import Tensor

from overread.imaging.study import Mask
from overread.imaging.vocabulary import FINDINGS, TARGETS
from overread.training.click_sessions import Session
from overread.training.segmenter_data import Pool, augmented

_FINDINGS = frozenset(TARGETS.index(name) for name in FINDINGS if name in TARGETS)
_MERE_REGION = 0.25
"""Share of objects that are regions of one tone and no structure, so that unknown things are learnt, too."""
_FINDING_WEIGHT = 3.0
"""How much likelier a finding is clicked than an organ or a tissue around it."""
_AT_ONCE = 0.5
"""Share of batches that learn from the first prompt alone, which is what most people give."""
_SMALLEST = 12
_LARGEST_REGION = 0.4


@dataclass(frozen=True, slots=True)
class ClickBatch:
    """Sessions about some pictures.

    Attributes:
        view: (images, 3, side, side), 0..1.
        owner: (n,) int64: the picture of each session.
        sessions: n of them.
        truth: (n, side, side), 0 or 1.
        rounds: Clicks after the first prompt.
    """

    view: Tensor
    owner: Tensor
    sessions: list[Session]
    truth: Tensor
    rounds: int


def make_clicks(
    pool: Pool,
    chosen: NDArray[np.int64],
    rng: np.random.Generator,
    side: int,
    objects: int,
    most: int,
) -> ClickBatch:
    """Draw augmented pictures with sessions.

    Args:
        pool: Where from.
        chosen: Indices of its phantoms.
        rng: The only source of randomness.
        side: Pixels of the square.
        objects: Of each picture.
        most: Clicks after the first prompt.
    """
    views, owner, sessions = [], [], []
    for position, index in enumerate(chosen):
        view, masks = augmented(pool, int(index), side, rng)
        for mask in _objects(view, masks, objects, rng):
            owner.append(position)
            sessions.append(Session(mask, rng))
        views.append(view)
    return ClickBatch(
        torch.stack(views),
        torch.tensor(owner),
        sessions,
        torch.from_numpy(np.stack([session.truth for session in sessions])).float(),
        0 if rng.random() < _AT_ONCE else int(rng.integers(most + 1)),
    )


def _objects(
    view: Tensor, masks: dict[int, Mask], number: int, rng: np.random.Generator
) -> list[Mask]:
    """Return connected regions: of targets, findings more often, or of one tone."""
    names = list(masks)
    weights = np.array([_FINDING_WEIGHT if name in _FINDINGS else 1.0 for name in names])
    mere = rng.random(number) < (_MERE_REGION if names else 1.0)
    toned = _toned(view, int(mere.sum()), rng) if mere.any() else []
    if not names:
        return toned
    drawn = rng.choice(len(names), number - len(toned), p=weights / weights.sum())
    return toned + [_region(masks[names[int(place)]], rng) for place in drawn]


def _region(mask: Mask, rng: np.random.Generator) -> Mask:
    """Return a connected part of a mask, the larger the likelier."""
    labels, found = ndimage.label(mask)
    if found < 2:
        return mask
    own: Mask = labels == labels.ravel()[rng.choice(np.flatnonzero(mask))]
    return own if own.sum() >= _SMALLEST else mask


def _toned(view: Tensor, number: int, rng: np.random.Generator) -> list[Mask]:
    """Return regions of about one tone, neither tiny nor most of the picture; fewer if there are none.

    Source: superpixels as objects to be clicked, Wong et al., ScribblePrompt, arXiv:2312.07381.
    """
    scale = float(np.exp(rng.uniform(np.log(30), np.log(600))))
    half = felzenszwalb(view[:, ::2, ::2].permute(1, 2, 0).numpy(), scale, sigma=0.8, min_size=15)
    labels = half.repeat(2, axis=0).repeat(2, axis=1)
    sizes = np.bincount(labels.ravel())
    fit = np.flatnonzero((sizes >= _SMALLEST) & (sizes <= _LARGEST_REGION * labels.size))
    if not fit.size:
        return []
    return [labels == one for one in rng.choice(fit, number, p=sizes[fit] / sizes[fit].sum())]
