"""Slices of real brains as the click head learns from them: tilted, bent, in other tones, with lesions.

The lesions are painted, so their outlines are exact; all else in the picture is real.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.imaging.study import Mask
from overread.imaging.vocabulary import TARGETS
from overread.tools.geometry import largest_region
from overread.training.real_brains import Brain
from overread.training.segmenter_data import NAMELESS, Pool

SIDE = 256
_AXES = {"axial": 0.6, "coronal": 0.2, "sagittal": 0.2}
_TILT_DEGREES, _BEND_MM, _BEND_REACH_MM = 6.0, 2.5, 25.0
_PIXEL_MM = (0.85, 1.05)
_SMALLEST_BRAIN = 2500
_SMALLEST_LESION, _LARGEST_LESION = 3.0, 24.0
_LEAST_CONTRAST = 0.06
"""Between a lesion and what is around it; nobody could point at less."""
_BRAIN, _LESION = TARGETS.index("brain"), TARGETS.index("lesion")
Plane = NDArray[np.float64]


def brain_pool(brains: Sequence[Brain], number: int, seed: int) -> Pool:
    """Return slices of brains in turn, each with masks of its brain, a structure and its lesions."""
    rng = np.random.default_rng([seed, len(brains)])
    views, owner, target, packed = [], [], [], []
    for index in range(number):
        plane, masks = _slice(brains[index % len(brains)], rng)
        grey = np.rint(plane * 255).astype(np.uint8)
        views.append(np.repeat(grey[..., None], 3, axis=2))
        for name, mask in masks.items():
            owner.append(index)
            target.append(name)
            packed.append(np.packbits(mask))
    names = [brains[index % len(brains)].name for index in range(number)]
    return Pool(
        np.stack(views), np.array(["brain-mr"] * number), np.array(names),
        np.array(owner), np.array(target), np.stack(packed),
    )  # fmt: skip


def joined(first: Pool, second: Pool) -> Pool:
    """Return one pool of both; pictures must be of one size."""
    return Pool(
        np.concatenate([first.views, second.views]),
        np.concatenate([first.domains, second.domains]),
        np.concatenate([first.scanners, second.scanners]),
        np.concatenate([first.owner, second.owner + len(first.views)]),
        np.concatenate([first.target, second.target]),
        np.concatenate([first.packed, second.packed]),
    )


def _slice(brain: Brain, rng: np.random.Generator) -> tuple[Plane, dict[int, Mask]]:
    """Return a slice, (SIDE, SIDE) in 0..1, and its masks."""
    while True:
        points = _points(brain, rng)
        inside = _sampled(brain.brain, points) > 0.5
        if inside.sum() >= _SMALLEST_BRAIN:
            break
    plane = _toned(_sampled(brain.values, points), inside, rng)
    plane, lesions = with_lesions(plane, inside, rng)
    masks = {_BRAIN: inside}
    shown = [
        mask
        for volume in brain.structures.values()
        if (mask := _sampled(volume, points) > 0.5).sum() >= _SMALLEST_LESION**2
    ]
    if shown:
        masks[NAMELESS] = shown[int(rng.integers(len(shown)))]
    if lesions.any():
        masks[_LESION] = lesions
    return plane, masks


def _points(brain: Brain, rng: np.random.Generator) -> Plane:
    """Return where the pixels of a random plane lie in the volume, (3, SIDE, SIDE), in voxels."""
    x, y, z = np.eye(3)
    # Down and across the picture: front and top up, the patient's left on the right.
    down, across = {"axial": (-y, -x), "coronal": (-z, -x), "sagittal": (-z, -y)}[
        str(rng.choice(list(_AXES), p=list(_AXES.values())))
    ]
    through = np.cross(down, across)
    for axis in (down, across):
        turn = np.deg2rad(rng.normal(0, _TILT_DEGREES))
        through = through + np.tan(turn) * axis
    through /= np.linalg.norm(through)
    down = down - (down @ through) * through
    across = across - (across @ through) * through
    inner = np.argwhere(brain.brain[::4, ::4, ::4]) * 4
    depths = inner @ through
    middle = (inner.min(0) + inner.max(0)) / 2
    middle = middle + (rng.uniform(*np.quantile(depths, (0.02, 0.98))) - middle @ through) * through
    step = rng.uniform(*_PIXEL_MM)
    line = (np.arange(SIDE) - (SIDE - 1) / 2) * step
    grid = np.stack(np.meshgrid(line, line, indexing="ij"))
    grid += np.stack([_smooth(rng, _BEND_REACH_MM / step) for _ in range(2)]) * _BEND_MM
    return np.asarray(
        middle[:, None, None]
        + down[:, None, None] / np.linalg.norm(down) * grid[0]
        + across[:, None, None] / np.linalg.norm(across) * grid[1]
    )


def _sampled(volume: NDArray[np.float32] | NDArray[np.bool_], points: Plane) -> Plane:
    sampled = ndimage.map_coordinates(volume, points, np.float32, order=1)
    return np.asarray(sampled, np.float64)


def _smooth(rng: np.random.Generator, reach: float) -> Plane:
    """Return noise of unit deviation that hardly changes within `reach` pixels."""
    noise = ndimage.gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), reach)
    return np.asarray(noise / noise.std())


def _toned(plane: Plane, inside: Mask, rng: np.random.Generator) -> Plane:
    """Give other tones to the tissues, as other sequences do, in or out of order.

    Source: contrasts drawn at random, Billot et al., SynthSeg, arXiv:2107.09559.
    """
    knots = np.linspace(0, 1, 6)
    if rng.random() < 0.25:
        tones = np.r_[0.0, rng.uniform(0, 1, 5)]
    else:
        tones = np.r_[0.0, np.cumsum(rng.dirichlet(np.full(5, 3.0)))]
    plane = np.interp(plane, knots, tones)
    if rng.random() < 0.5:
        # Fat outshines the brain where the window takes it in.
        shade = ndimage.gaussian_filter(inside.astype(float), 1.5)
        plane = plane * (1 - shade * rng.uniform(0.2, 0.65))
    return np.asarray(plane)


def with_lesions(plane: Plane, inside: Mask, rng: np.random.Generator) -> tuple[Plane, Mask]:
    """Paint none to three lesions into a brain; return the picture and their mask.

    Args:
        plane: (SIDE, SIDE), 0..1.
        inside: (SIDE, SIDE): the brain.
        rng: For their number, shapes and tones.
    """
    lesions = np.zeros(plane.shape, bool)
    usual = float(plane[inside].mean())
    for shape, radius in _shapes(inside, rng):
        contrast = rng.uniform(0.1, 0.5) * (1 if rng.random() < 0.7 else -1)
        tone = usual + contrast + _smooth(rng, 1.5) * rng.uniform(0, 0.06)
        if rng.random() < 0.25:  # a rim around a core of another tone
            depth = ndimage.distance_transform_edt(shape)
            tone = np.where(depth > rng.uniform(0.3, 0.6) * depth.max(), usual, tone)
        if rng.random() < 0.35:  # swelling, which is not part of the lesion
            away = ndimage.distance_transform_edt(~shape)
            swollen = np.exp(-away / (0.5 * radius)) * inside
            plane = plane + swollen * contrast * rng.uniform(0.1, 0.35)
        share = ndimage.gaussian_filter(shape.astype(float), rng.uniform(0.4, 1.2))
        share *= rng.uniform(0.7, 1.0)
        painted = plane * (1 - share) + tone * share
        around = ndimage.binary_dilation(shape, iterations=3) & ~shape
        if abs(painted[shape].mean() - painted[around].mean()) >= _LEAST_CONTRAST:
            plane = painted
            lesions |= shape
    return np.clip(plane, 0, 1), lesions


def _shapes(inside: Mask, rng: np.random.Generator) -> Iterator[tuple[Mask, float]]:
    """Yield outlines within the brain, each a connected region, and their radius in pixels."""
    rows, columns = np.indices(inside.shape)
    places = np.argwhere(inside)
    for _ in range(int(rng.choice(4, p=(0.2, 0.4, 0.25, 0.15)))):
        row, column = places[int(rng.integers(len(places)))]
        radius = float(np.exp(rng.uniform(np.log(_SMALLEST_LESION), np.log(_LARGEST_LESION))))
        turn, stretch = rng.uniform(0, np.pi), np.exp(rng.normal(0, 0.3))
        along = (rows - row) * np.cos(turn) + (columns - column) * np.sin(turn)
        beside = (columns - column) * np.cos(turn) - (rows - row) * np.sin(turn)
        depth = radius - np.hypot(along * stretch, beside / stretch)
        rough = _smooth(rng, max(radius / 2.5, 1.0)) * radius * rng.uniform(0.1, 0.4)
        found = (depth + rough > 0) & (depth > -radius) & inside
        if found.any():
            shape = largest_region(found)
            if shape.sum() >= _SMALLEST_LESION**2:
                yield shape, radius
