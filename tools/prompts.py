"""Fit pictures and prompts into the segmenter's square, and masks back out of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from overread.imaging.study import Mask
from overread.tools.prompt_checks import check_prompts
from overread.tools.segmenter import Box, Point
from overread.tools.segmenter_net import PROMPT_CHANNELS, SIDE

# Spread of a click, in pixels of the prompt planes.
_CLICK = 1.5


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture lies in the square: scaled to fit, at the upper left, black beside it.

    Attributes:
        rows, columns: Of the picture.
        height, width: That it takes in the square.
    """

    rows: int
    columns: int
    height: int
    width: int

    @classmethod
    def of(cls, rows: int, columns: int) -> "Letterbox":
        """Return the largest fit with the aspect kept.

        >>> Letterbox.of(1024, 512)
        Letterbox(rows=1024, columns=512, height=192, width=96)
        """
        scale = SIDE / max(rows, columns)
        return cls(rows, columns, max(1, round(rows * scale)), max(1, round(columns * scale)))

    def fit(self, planes: Tensor) -> Tensor:
        """Bring (channels, rows, columns) into (channels, side, side)."""
        small = F.interpolate(
            planes[None], size=(self.height, self.width), mode="bilinear", antialias=True
        )[0]
        return F.pad(small, (0, SIDE - self.width, 0, SIDE - self.height))

    def unfit(self, plane: Tensor) -> NDArray[np.float32]:
        """Bring (side, side) back to (rows, columns)."""
        inner = plane[None, None, : self.height, : self.width]
        size = (self.rows, self.columns)
        return F.interpolate(inner, size=size, mode="bilinear", align_corners=False)[0, 0].numpy()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where the middle of pixel (x, y) lies on the prompt planes, as (column, row)."""
        return (
            (x + 0.5) * self.width / self.columns / 2 - 0.5,
            (y + 0.5) * self.height / self.rows / 2 - 0.5,
        )


def view_plane(view: NDArray[np.uint8], box: Letterbox) -> Tensor:
    """Return a uint8 (rows, columns, 3) view as (3, side, side), 0..1."""
    planes = torch.from_numpy(np.array(view)).permute(2, 0, 1).float() / 255
    return box.fit(planes)


def prompt_planes(
    letterbox: Letterbox,
    points: Sequence[Point] = (),
    box: Box | None = None,
    scribble: Mask | None = None,
    previous: Mask | None = None,
) -> Tensor:
    """Draw prompts on the planes that the network reads, (channels, side / 2, side / 2).

    Raises:
        InputError: A prompt lies outside the image, a box is turned inside out, or a mask has
            another shape than the image.
    """
    check_prompts((letterbox.rows, letterbox.columns), points, box, scribble, previous)
    half = SIDE // 2
    planes = torch.zeros(len(PROMPT_CHANNELS), half, half)
    for x, y, inside in points:
        channel = 0 if inside else 1
        planes[channel] = torch.maximum(planes[channel], click(*letterbox.place(x, y)))
    if box is not None:
        (c0, r0), (c1, r1) = letterbox.place(*box[:2]), letterbox.place(*box[2:])
        planes[2, round(max(r0, 0)) : round(r1) + 1, round(max(c0, 0)) : round(c1) + 1] = 1.0
    for channel, mask in ((3, scribble), (4, previous)):
        if mask is None:
            continue
        fitted = letterbox.fit(torch.from_numpy(mask.astype(np.float32))[None])
        planes[channel] = shrink(fitted, thin=channel == 3)[0]
    return planes


def click(column: float, row: float) -> Tensor:
    """Return a plane with a soft dot at a place of the prompt planes."""
    line = torch.arange(SIDE // 2, dtype=torch.float32)
    across = torch.exp(-((line - column) ** 2) / (2 * _CLICK**2))
    down = torch.exp(-((line - row) ** 2) / (2 * _CLICK**2))
    return down[:, None] * across[None, :]


def shrink(planes: Tensor, *, thin: bool) -> Tensor:
    """Halve (channels, side, side); `thin` keeps strokes of one pixel visible."""
    if thin:
        return F.max_pool2d(planes, 2).clamp(max=1.0).gt(0).float()
    return F.avg_pool2d(planes, 2)
