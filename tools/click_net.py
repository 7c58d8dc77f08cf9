"""The network behind clicks without a name: what a person points at, told by places alone.

It reads the features that the segmenter's backbone has of the picture. A click says where; what the
features are there says what, so the whole of a large organ can be found from a click in its middle.
"""

from itertools import pairwise

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from overread.tools.segmenter_net import LEVELS, PROMPT_CHANNELS, WORDS, Film, plain_block

_WIDTHS = (20, 32, 48, 64, 64)
_KEY = 24
_INSIDE, _OUTSIDE, _BOX, _SCRIBBLE, _PREVIOUS = range(len(PROMPT_CHANNELS))
_REACHES = (6.0, 30.0)
"""How fast the nearness of a click falls, in pixels of the prompt planes."""
_DOT = 0.85
"""A soft dot is above this at its middle alone."""


class ClickHead(nn.Module):
    """A U-Net down to 1/32 that reads features, prompts, and where the picture is like the prompts.

    Sources: similarity to the features of what is marked, as in Wang et al., PANet, ICCV 2019,
    arXiv:1908.06391; the last mask among the inputs as in Sofiiuk et al., RITM, arXiv:2102.06583.
    """

    def __init__(self) -> None:
        """Build the five scales and the mask output."""
        super().__init__()
        self.key = nn.Conv2d(sum(LEVELS[1:4]), _KEY, 1)
        self.say = nn.Sequential(nn.Linear(4 * (_KEY + 1), 64), nn.SiLU(), nn.Linear(64, WORDS))
        self.read = nn.ModuleList(
            nn.Conv2d(wide, own, 1) for wide, own in zip(LEVELS[1:4], _WIDTHS, strict=False)
        )
        self.film = nn.ModuleList(Film(width) for width in _WIDTHS[:3])
        planes = len(PROMPT_CHANNELS) + 4 + 2 * len(_REACHES)
        self.prompt = nn.Conv2d(planes, _WIDTHS[0], 3, padding=1)
        self.enter = plain_block(_WIDTHS[0], _WIDTHS[0])
        self.down = nn.ModuleList(plain_block(a, b, 2) for a, b in pairwise(_WIDTHS))
        self.mix = nn.ModuleList(plain_block(width, width) for width in _WIDTHS[1:])
        self.rise = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(_WIDTHS))
        self.leave = nn.ModuleList(plain_block(width, width) for width in _WIDTHS[:-1])
        self.fine = nn.Conv2d(LEVELS[0], 8, 1)
        self.coarse = nn.Conv2d(_WIDTHS[0], 8, 1)
        self.last = plain_block(8, 8)
        self.mask = nn.Conv2d(8, 1, 1)

    def forward(self, maps: list[Tensor], owner: Tensor, prompts: Tensor) -> Tensor:
        """Return mask logits (n, side, side).

        Args:
            maps: Of the backbone, for all images.
            owner: (n,): which image each query is about.
            prompts: (n, prompt channels, side / 2, side / 2), 0..1.
        """
        alike, word = self._likeness(maps, owner, prompts)
        told = torch.cat([prompts, alike, nearness(prompts)], dim=1)
        features = [
            film(read(x)[owner], word)
            for read, film, x in zip(self.read, self.film, maps[1:4], strict=True)
        ]
        levels = [self.enter(F.silu(features[0] + self.prompt(told)))]
        for depth, (down, mix) in enumerate(zip(self.down, self.mix, strict=True), start=1):
            x = down(levels[-1])
            levels.append(mix(x + features[depth] if depth < len(features) else x))
        x = levels.pop()
        for rise, leave in zip(reversed(self.rise), reversed(self.leave), strict=True):
            x = leave(levels.pop() + F.interpolate(rise(x), scale_factor=2.0))
        coarse = F.interpolate(self.coarse(x), scale_factor=2.0)
        return self.mask(self.last(coarse + self.fine(maps[0])[owner]))[:, 0].float()

    def _likeness(
        self, maps: list[Tensor], owner: Tensor, prompts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return how like each place is to what is marked, (n, 4, h, w), and that in words."""
        size = maps[1].shape[2:]
        wide = [maps[1], *(F.interpolate(x, size=size) for x in maps[2:4])]
        keys = F.normalize(self.key(torch.cat(wide, dim=1)), dim=1)[owner]
        marked = torch.stack(
            [
                torch.maximum(prompts[:, _INSIDE], prompts[:, _SCRIBBLE]),
                prompts[:, _OUTSIDE],
                prompts[:, _BOX],
                prompts[:, _PREVIOUS],
            ],
            dim=1,
        ).to(keys.dtype)
        total = marked.sum((2, 3))
        centres = torch.einsum("nchw,nkhw->nkc", keys, marked) / total[..., None].clamp_min(1e-3)
        alike = torch.einsum("nchw,nkc->nkhw", keys, centres)
        there = (total > 0).to(keys.dtype)
        return alike, self.say(torch.cat([centres.flatten(1), there], dim=1))


def nearness(prompts: Tensor) -> Tensor:
    """Return how near each place is to a click inside, and to one outside, at two reaches.

    Args:
        prompts: (n, prompt channels, h, w).

    Returns:
        (n, 4, h, w), 1 at a click, falling to 0; 0 where there is none.
    """
    dots = (prompts[:, [_INSIDE, _OUTSIDE]] > _DOT).cpu().numpy()
    near = np.zeros((len(dots), 2 * len(_REACHES), *dots.shape[2:]), np.float32)
    for query, planes in enumerate(dots):
        for side, plane in enumerate(planes):
            if plane.any():
                away = ndimage.distance_transform_edt(~plane)
                for place, reach in enumerate(_REACHES):
                    near[query, 2 * side + place] = np.exp(-away / reach)
    return torch.from_numpy(near).to(prompts.device)
