"""Haematoxylin and eosin sections: purple nuclei on pink tissue.

In the nuclei mask touching nuclei are parted by one background pixel, so its objects are nuclei.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from overread.imaging.phantoms import acquire
from overread.imaging.phantoms.drawing import (
    Grid,
    Stroke,
    fractal_noise,
    make_frame,
    smooth_noise,
    strokes,
)
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.scanners import Scanner, field_of
from overread.imaging.phantoms.seeds import Case
from overread.imaging.study import Mask

_STAINS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    # haematoxylin, eosin: absorbance of red, green, blue
    "balanced": ((1.15, 1.35, 0.55), (0.10, 0.62, 0.28)),
    "pink": ((1.00, 1.30, 0.50), (0.06, 0.80, 0.34)),
    "purple": ((1.25, 1.20, 0.40), (0.24, 0.62, 0.20)),
    "pale": ((0.80, 0.95, 0.38), (0.06, 0.38, 0.16)),
    "brownish": ((1.05, 1.25, 0.80), (0.12, 0.52, 0.50)),
}


@dataclass(frozen=True, slots=True)
class Nucleus:
    """Centre row and column and radii in pixels, turn in radians."""

    row: float
    column: float
    long: float
    short: float
    turn: float


def draw(case: Case, scanner: Scanner) -> Drawn:
    """Draw the section of a case."""
    spacing = field_of(case, scanner)
    nuclei = _place(case, spacing[1])
    labels, depth = _rasterise(case, nuclei)
    mask = _part(labels)
    rng = case.anatomy("stain look")
    haem, eosin = (np.array(c, dtype=np.float32) for c in _STAINS[scanner.style])
    frame = make_frame(case.size, spacing, case.anatomy("warp"), case.moment("pose"), 0, 0, 0)
    tissue = _stroma(case, frame.spacing_mm[1])
    chromatin = 1 + np.float32(0.28) * fractal_noise(rng, case.size, case.size // 4, 1)
    shade = rng.uniform(0.65, 1.1, len(nuclei) + 1).astype(np.float32)[labels]
    rim = np.clip(1.4 - depth * 0.18, 1, 1.4)
    blue = depth_cover(depth) * chromatin * shade * rim * np.float32(rng.uniform(0.75, 0.95))
    halo = gaussian_filter((labels > 0).astype(np.float32), 4) * np.float32(0.06)
    absorbed = (blue + halo)[:, :, None] * haem + (tissue * (1 - 0.5 * depth_cover(depth)))[
        :, :, None
    ] * eosin
    pixels = acquire.colour(
        np.exp(-absorbed) * np.float32(0.97), scanner, spacing, case.moment("noise")
    )
    technique = "Haematoxylin and eosin stained tissue section."
    return Drawn(pixels, spacing, {"nuclei": mask}, (), "tissue", "", technique)


def depth_cover(depth: Grid) -> Grid:
    """Return the stain coverage of a pixel that lies `depth` pixels inside a nucleus."""
    return np.clip(depth * np.float32(0.5) + np.float32(0.5), 0, 1)


def _place(case: Case, pixel_mm: float) -> list[Nucleus]:
    """Throw nuclei that may touch but hardly overlap; some gather around glands."""
    rng = case.anatomy("nuclei")
    size, um = case.size, pixel_mm * 1000
    wanted = int(rng.integers(8, 81))
    mean = rng.uniform(4.2, 5.6) * (1.15 if wanted < 30 else 0.95) / um
    spindle = rng.random() < 0.25
    rings = _rings(rng, size, 8.5 * mean) if rng.random() < 0.4 else []
    nuclei: list[Nucleus] = []
    grain = float(rng.uniform(0, np.pi))
    for _ in range(wanted * 40):
        if len(nuclei) == wanted:
            break
        short = mean * rng.uniform(0.75, 1.15)
        long = short * (rng.uniform(1.6, 2.2) if spindle else rng.uniform(1.05, 1.45))
        turn = grain + rng.normal(0, 0.4) if spindle else rng.uniform(0, np.pi)
        row, column = rng.uniform(long * 0.4, size - long * 0.4, 2)
        if rings and rng.random() < 0.7:
            y, x, r = rings[int(rng.integers(len(rings)))]
            turn = rng.uniform(0, 2 * np.pi)
            row, column = y + r * np.sin(turn), x + r * np.cos(turn)
            if not 0.4 * long < min(row, column) <= max(row, column) < size - 0.4 * long:
                continue
        new = Nucleus(float(row), float(column), long, short, float(turn))
        if any(_crowds(new, old) for old in nuclei):
            continue
        nuclei.append(new)
    return nuclei


def _rings(rng: np.random.Generator, size: int, r: float) -> list[tuple[float, float, float]]:
    number = int(rng.integers(1, 4))
    return [
        (*rng.uniform(0.2 * size, 0.8 * size, 2), r * rng.uniform(0.7, 1.2)) for _ in range(number)
    ]


def _crowds(new: Nucleus, old: Nucleus) -> bool:
    near = 0.93 * ((new.long * new.short) ** 0.5 + (old.long * old.short) ** 0.5)
    return (new.row - old.row) ** 2 + (new.column - old.column) ** 2 < near**2


def _rasterise(case: Case, nuclei: list[Nucleus]) -> tuple[NDArray[np.intp], Grid]:
    """Return the label of each pixel (0 is background) and its depth in its nucleus, pixels."""
    rng = case.anatomy("outline")
    size = case.size
    labels = np.zeros((size, size), dtype=np.intp)
    depth = np.full((size, size), -3, dtype=np.float32)
    for index, n in enumerate(nuclei, start=1):
        reach = int(n.long * 1.3) + 4
        r0, r1 = max(int(n.row) - reach, 0), min(int(n.row) + reach + 1, size)
        c0, c1 = max(int(n.column) - reach, 0), min(int(n.column) + reach + 1, size)
        y = (np.arange(r0, r1, dtype=np.float32) - np.float32(n.row))[:, None]
        x = (np.arange(c0, c1, dtype=np.float32) - np.float32(n.column))[None, :]
        cos, sin = np.float32(np.cos(n.turn)), np.float32(np.sin(n.turn))
        u, v = (cos * x + sin * y) / np.float32(n.long), (cos * y - sin * x) / np.float32(n.short)
        dent = (
            1
            + np.float32(rng.uniform(-0.12, 0.12)) * u * v
            + np.float32(rng.uniform(-0.1, 0.1)) * u
        )
        own = (1 - np.sqrt(u * u + v * v) * dent) * np.float32(n.short)
        window, names = depth[r0:r1, c0:c1], labels[r0:r1, c0:c1]
        front = own > window
        names[front & (own > 0)] = index
        np.maximum(window, own, out=window)
    return labels, depth


def _part(labels: NDArray[np.intp]) -> Mask:
    """Return the union of nuclei without the pixels that touch an earlier nucleus."""
    top = labels.max() + 1
    flipped = np.where(labels > 0, top - labels, 0)
    earlier = maximum_filter(flipped, size=3, mode="constant")
    return (labels > 0) & (earlier <= flipped)


def _stroma(case: Case, pixel_mm: float) -> Grid:
    rng = case.anatomy("stroma")
    size = case.size
    tissue = np.float32(0.55) + np.float32(0.14) * fractal_noise(rng, size, 10, 4)
    lines: list[Stroke] = []
    grain = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(20, 60))):
        start = rng.uniform(-0.1 * size, 1.1 * size, 2)
        bends = grain + rng.normal(0, 0.3) + np.cumsum(rng.normal(0, 0.12, 8))
        moves = np.stack([np.cos(bends), np.sin(bends)], axis=1) * size / 22
        path = start + np.cumsum(moves, axis=0)
        lines.append((path, rng.uniform(0.8, 2.2), rng.uniform(0.2, 0.7)))
    tissue += np.float32(0.3) * strokes(size, lines, 0.7)
    gaps = np.clip(smooth_noise(rng, size, 7) * 3 - np.float32(rng.uniform(2.6, 5)), 0, 1)
    return np.clip(tissue, 0.12, 1.3) * (1 - np.float32(0.85) * gaps)
