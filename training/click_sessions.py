"""Simulated sessions of clicks: one object, a first prompt, then clicks that look at the answer or not."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.imaging.study import Mask
from overread.tools.geometry import largest_region
from overread.tools.segmenter_net import PROMPT_CHANNELS
from overread.training.segmenter_prompts import box, click, halved, scribble, spoiled

_INSIDE, _OUTSIDE, _BOX, _SCRIBBLE, _PREVIOUS = range(len(PROMPT_CHANNELS))
_FIRST = {_INSIDE: 0.6, _BOX: 0.15, _SCRIBBLE: 0.1, _PREVIOUS: 0.15}
_BLIND = 0.5
_CORRECTS = 0.5
_RING = 0.5
"""How far around an object a blind click outside may lie, as a share of the object's size."""


@dataclass
class Session:
    """Prompts of one person about one object.

    Attributes:
        truth: (side, side), not empty.
        rng: Of all choices.
        planes: (channels, side / 2, side / 2), as the network reads them.
        blind: Whether clicks look at the truth alone, as a person might give them all at once.
        corrects: Whether the last mask is handed back with each click.

    Source of clicks in the largest error: Sofiiuk et al., RITM, arXiv:2102.06583.
    """

    truth: Mask
    rng: np.random.Generator
    planes: NDArray[np.float32] = field(init=False)
    blind: bool = field(init=False)
    corrects: bool = field(init=False)

    def __post_init__(self) -> None:
        """Give the first prompt: a click in the middle, a box, a scribble or a mask to correct."""
        half = self.truth.shape[0] // 2
        self.planes = np.zeros((len(PROMPT_CHANNELS), half, half), np.float32)
        self.blind = bool(self.rng.random() < _BLIND)
        self.corrects = bool(self.rng.random() < _CORRECTS)
        first = self.rng.choice(list(_FIRST), p=list(_FIRST.values()))
        if first == _BOX:
            box(self.planes[_BOX], self.truth, self.rng)
        elif first == _SCRIBBLE:
            scribble(self.planes[_SCRIBBLE], self.truth, self.rng)
        elif first == _PREVIOUS:
            wrong = spoiled(self.truth, self.rng)
            self.planes[_PREVIOUS] = halved(wrong)
            self._mend(wrong)
        else:
            click(self.planes[_INSIDE], self.truth, self.rng, deep=True)

    def go_on(self, made: Mask) -> None:
        """Add a click to what the network made of the session so far."""
        if self.corrects:
            self.planes[_PREVIOUS] = halved(made)
        if self.blind:
            self._anywhere()
        else:
            self._mend(made)

    def _anywhere(self) -> None:
        """Click inside, or in a ring around the object."""
        size = max(float(np.sqrt(self.truth.sum())), 4.0)
        away = ndimage.distance_transform_edt(~self.truth)
        ring = (away >= min(3.0, 0.25 * size)) & (away <= max(4.0, _RING * size))
        if self.rng.random() < 0.5 or not ring.any():
            depth = ndimage.distance_transform_edt(self.truth)
            click(self.planes[_INSIDE], depth >= min(2.0, 0.5 * depth.max()), self.rng, deep=False)
        else:
            click(self.planes[_OUTSIDE], ring, self.rng, deep=False)

    def _mend(self, made: Mask) -> None:
        """Click into the largest connected part that is missing, or too much; inside if none is."""
        missing, excess = (
            largest_region(part) if part.any() else part
            for part in (self.truth & ~made, made & ~self.truth)
        )
        if excess.sum() > missing.sum():
            click(self.planes[_OUTSIDE], excess, self.rng, deep=True)
        else:
            where = missing if missing.any() else self.truth
            click(self.planes[_INSIDE], where, self.rng, deep=True)
