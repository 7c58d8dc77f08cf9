"""Simulate a person's prompts: clicks, boxes, scribbles, and a mask to be corrected."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.imaging.study import Mask
from overread.tools.segmenter_net import PROMPT_CHANNELS

_CLICK = 1.5


def draw_prompts(mask: Mask, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return prompt planes for a mask that is not empty.

    Args:
        mask: (side, side).
        rng: Chooses among a click, clicks, a box, a scribble and a correction.

    Returns:
        (channels, side / 2, side / 2), 0..1.
    """
    half = mask.shape[0] // 2
    planes = np.zeros((len(PROMPT_CHANNELS), half, half), np.float32)
    kind = rng.choice(5, p=(0.4, 0.15, 0.2, 0.1, 0.15))
    if kind == 0:
        click(planes[0], mask, rng, deep=True)
    elif kind == 1:
        for _ in range(int(rng.integers(1, 4))):
            click(planes[0], mask, rng, deep=False)
        click(planes[1], _around(mask), rng, deep=False)
    elif kind == 2:
        box(planes[2], mask, rng)
    elif kind == 3:
        scribble(planes[3], mask, rng)
    else:
        wrong = spoiled(mask, rng)
        planes[4] = halved(wrong)
        missing, excess = mask & ~wrong, wrong & ~mask
        if missing.sum() >= excess.sum():
            click(planes[0], missing if missing.any() else mask, rng, deep=True)
        else:
            click(planes[1], excess, rng, deep=True)
    return planes


def click(plane: NDArray[np.float32], where: Mask, rng: np.random.Generator, deep: bool) -> None:
    """Put a soft dot inside a region, away from its border if `deep`."""
    if not where.any():
        return
    if deep:
        depth = ndimage.distance_transform_edt(where)
        where = depth >= rng.uniform(0.3, 0.95) * depth.max()
    row, column = divmod(int(rng.choice(np.flatnonzero(where))), where.shape[1])
    line = np.arange(plane.shape[0], dtype=np.float32)
    down = np.exp(-((line - (row + 0.5) / 2 + 0.5) ** 2) / (2 * _CLICK**2))
    across = np.exp(-((line - (column + 0.5) / 2 + 0.5) ** 2) / (2 * _CLICK**2))
    np.maximum(plane, down[:, None] * across[None, :], out=plane)


def _around(mask: Mask) -> Mask:
    reach = max(3, mask.shape[0] // 12)
    return ndimage.binary_dilation(mask, iterations=reach) & ~ndimage.binary_dilation(
        mask, iterations=2
    )


def box(plane: NDArray[np.float32], mask: Mask, rng: np.random.Generator) -> None:
    """Fill a box around the mask, a little too large."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    slack = np.abs(rng.normal(0, 0.05, 4)) * max(rows.size, columns.size)
    top, bottom = max(rows[0] - slack[0], 0), rows[-1] + slack[1]
    left, right = max(columns[0] - slack[2], 0), columns[-1] + slack[3]
    plane[round(top / 2) : round(bottom / 2) + 1, round(left / 2) : round(right / 2) + 1] = 1.0


def scribble(plane: NDArray[np.float32], mask: Mask, rng: np.random.Generator) -> None:
    """Draw a line between two inner points, clipped to the mask."""
    inside = np.flatnonzero(mask)
    ends = [divmod(int(p), mask.shape[1]) for p in rng.choice(inside, 2)]
    steps = np.linspace(0, 1, 2 * mask.shape[0])
    rows = np.rint(ends[0][0] + steps * (ends[1][0] - ends[0][0])).astype(int)
    columns = np.rint(ends[0][1] + steps * (ends[1][1] - ends[0][1])).astype(int)
    kept = mask[rows, columns]
    last = plane.shape[0] - 1
    plane[np.minimum(rows[kept] // 2, last), np.minimum(columns[kept] // 2, last)] = 1.0


def spoiled(mask: Mask, rng: np.random.Generator) -> Mask:
    """Return the mask with a part cut off or added, as a first attempt might be."""
    noise = ndimage.gaussian_filter(rng.normal(0, 1, mask.shape), mask.shape[0] / 20)
    depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    size = max(np.sqrt(mask.sum()), 4.0)
    return depth + noise / noise.std() * size * 0.12 > rng.normal(0, 0.06) * size


def halved(mask: Mask) -> NDArray[np.float32]:
    """Return a mask (side, side) on the prompt planes, (side / 2, side / 2)."""
    half = mask.shape[0] // 2
    return mask.reshape(half, 2, half, 2).mean((1, 3)).astype(np.float32)
