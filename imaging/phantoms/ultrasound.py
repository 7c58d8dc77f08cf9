"""B-mode ultrasound: a linear probe on the breast or a curved probe on the liver."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from overread.imaging.phantoms import measures
from overread.imaging.phantoms.drawing import (
    Frame,
    Grid,
    blob,
    blur,
    fill,
    fractal_noise,
    inside,
    make_frame,
    paint,
    smooth_noise,
)
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.plan import plan
from overread.imaging.phantoms.scanners import Scanner, field_of
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Finding
from overread.imaging.study import Mask, Spacing


def draw(case: Case, scanner: Scanner) -> Drawn:
    """Draw the ultrasound picture of a case."""
    scales = plan(case, {"cyst": 1.0, "mass": 1.0})
    spacing = field_of(case, scanner)
    linear = scanner.style == "linear"
    width = case.size * spacing[1]
    warp, move = width * 0.012, width * 0.01
    frame = make_frame(case.size, spacing, case.anatomy("warp"), case.moment("pose"), warp, move, 2)
    depth, across, field = _geometry(case.size, linear)
    echo = _layers(frame, case, width) if linear else _parenchyma(frame, case, width)
    masks = _objects(echo, frame, case, scales, width, field, depth)
    speckled = echo * _speckle(case, scanner, spacing, depth, across, linear)
    fall = np.float32(case.anatomy("gain").uniform(0.25, 0.5))
    speckled *= np.exp(-fall * np.clip(depth - 0.3, 0, 1))
    image = np.log1p(np.float32(30) * speckled) / np.float32(np.log(31))
    image = np.where(field, image, np.float32(0))
    _overlay(image, case.size)
    image = np.clip(image, 0, 1) ** np.float32(scanner.gamma)
    pixels = np.rint(image * 255).astype(np.float32)
    part, probe = ("breast", "linear") if linear else ("abdomen", "curved")
    technique = f"B-mode ultrasound of the {part} with a {probe} probe."
    return Drawn(pixels, spacing, masks, _describe(masks, spacing, depth), part, "", technique)


def _geometry(size: int, linear: bool) -> tuple[Grid, Grid, Mask]:
    """Return depth and lateral position of each pixel (0..1) and the insonated field."""
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    y, x = np.repeat(line[:, None], size, axis=1), np.repeat(line[None, :], size, axis=0)
    if linear:
        depth = (y - np.float32(0.06)) / np.float32(0.9)
        across = (x - np.float32(0.07)) / np.float32(0.86)
    else:
        dy, dx = y + np.float32(0.12), x - np.float32(0.5)
        depth = (np.hypot(dy, dx) - np.float32(0.2)) / np.float32(0.86)
        across = np.arctan2(dx, dy) / np.float32(1.16) + np.float32(0.5)
    field = (depth > 0) & (depth < 1) & (across > 0) & (across < 1)
    return depth, across, field


def _layers(frame: Frame, case: Case, width: float) -> Grid:
    """Skin, subcutaneous fat with septa, glandular tissue, muscle, chest wall."""
    rng = case.anatomy("layers")
    d = (frame.y + np.float32(width / 2)) / np.float32(width)
    d = d + np.float32(0.02) * smooth_noise(rng, frame.size, 5)
    levels = np.cumsum(np.array([0.1, rng.uniform(0.12, 0.2), rng.uniform(0.3, 0.4), 0.16]))
    echo = np.full(d.shape, 0.55, dtype=np.float32)
    fat = 0.16 + 0.05 * np.abs(fractal_noise(rng, frame.size, 10, 2))
    gland = 0.36 + 0.13 * fractal_noise(rng, frame.size, 12, 3)
    fibre = np.sin((d * 95 + smooth_noise(rng, frame.size, 6) * 1.2).astype(np.float32))
    muscle = 0.18 + 0.09 * fibre
    for level, tissue in zip(levels[:3], (fat, gland, muscle), strict=True):
        paint(echo, np.clip(tissue, 0.05, 1).astype(np.float32), fill(level - d, 0.012))
        paint(echo, np.float32(0.7), fill(np.abs(d - level) - 0.004, 0.008) * np.float32(0.6))
    wall: Grid = np.float32(levels[3]) + np.float32(0.015) * np.sin(
        frame.x / np.float32(width) * 20
    )
    paint(echo, np.float32(1.0), fill(np.abs(d - wall) - np.float32(0.008), 0.012))
    paint(echo, np.float32(0.07), fill(wall + 0.02 - d, 0.02))
    septa = np.clip(1 - np.abs(smooth_noise(rng, frame.size, 9)) * 13, 0, 1)
    return echo + septa * np.float32(0.25) * fill(d - np.float32(levels[1]), 0.1)


def _parenchyma(frame: Frame, case: Case, width: float) -> Grid:
    """Abdominal wall, liver with vessels, diaphragm."""
    rng = case.anatomy("parenchyma")
    d = (frame.y + np.float32(width / 2)) / np.float32(width)
    echo = np.float32(0.3) + np.float32(0.035) * fractal_noise(rng, frame.size, 12, 3)
    ridge = np.abs(smooth_noise(rng, frame.size, int(rng.integers(5, 8))))
    vessels = np.clip((np.float32(0.11) - ridge) * 22, 0, 1) * np.clip((d - 0.25) * 6, 0, 1)
    walls = np.clip(1 - np.abs(ridge - 0.14) * 22, 0, 1) * np.clip((d - 0.25) * 6, 0, 1)
    paint(echo, np.float32(0.6), walls * np.float32(0.35 * rng.random()))
    paint(echo, np.float32(0.05), vessels)
    for level in rng.uniform(0.1, 0.2, 3):
        paint(echo, np.float32(0.65), fill(np.abs(d - level) - 0.006, 0.012) * np.float32(0.7))
    lateral: Grid = frame.x / np.float32(width) - np.float32(rng.uniform(-0.2, 0.2))
    curve: Grid = (
        np.float32(rng.uniform(0.78, 0.86)) + np.float32(rng.uniform(0.1, 0.5)) * lateral**2
    )
    paint(echo, np.float32(1.0), fill(np.abs(d - curve) - np.float32(0.008), 0.012))
    return echo


def _objects(
    echo: Grid,
    frame: Frame,
    case: Case,
    scales: dict[str, float],
    width: float,
    field: Mask,
    depth: Grid,
) -> dict[str, Mask]:
    """Draw cysts (echo-free, bright behind) and masses (dark, ragged, shadow behind)."""
    rng = case.anatomy("objects")
    sides = rng.permutation((-1, 1))
    found: dict[str, Mask] = {}
    alone = len(scales) == 1
    for i, name in enumerate(("cyst", "mass")):
        part = rng.uniform(0.05, 0.085)
        level = rng.choice((-0.16, 0.13)) + rng.uniform(-0.03, 0.03)
        off = rng.uniform(0.06, 0.1) + 0.06
        if name not in scales:
            continue
        own = case.anatomy(name)
        radius = width * part * scales[name] ** 0.7
        x = width * float(sides[i]) * (off + (0 if alone else 0.03))
        centre = (width * level, x)
        rough, waves, stretch = (0.04, 4, 1.15) if name == "cyst" else (0.2, 8, 1.0)
        shape = blob(frame, centre, radius, own, rough, waves, stretch, 0.05 * width)
        behind = fill(np.abs(frame.x - np.float32(x)) - np.float32(radius * 0.75), radius * 0.5)
        below = np.clip((frame.y - np.float32(centre[0] + radius * 0.3)) / np.float32(radius), 0, 1)
        fade = np.clip(1.2 - (frame.y - np.float32(centre[0])) / np.float32(width * 0.45), 0, 1)
        if name == "cyst":
            echo *= 1 + np.float32(1.3) * behind * below * fade
            paint(
                echo,
                np.float32(0.75),
                fill(np.abs(shape) - np.float32(0.008 * width), 0.008 * width) * 0.5,
            )
            paint(echo, np.float32(0.004), fill(shape, 0.012 * width))
        else:
            echo *= 1 - np.float32(0.72) * behind * below
            inner = np.float32(0.085) + np.float32(0.03) * fractal_noise(own, frame.size, 30, 2)
            paint(
                echo, np.float32(0.5), fill(shape - 0.012 * width, 0.02 * width) * np.float32(0.4)
            )
            paint(echo, np.clip(inner, 0.03, 0.2), fill(shape, 0.014 * width))
        mask = inside(shape) & field
        if mask.any():
            found[name] = mask
    return found


def _speckle(
    case: Case, scanner: Scanner, spacing: Spacing, depth: Grid, across: Grid, linear: bool
) -> Grid:
    """Return Rayleigh-like speckle, its grain following the beams."""
    rng = case.moment("speckle")
    size = case.size
    grain = max(scanner.speckle_mm / spacing[0], 0.6)
    parts: list[NDArray[np.float32]] = []
    for _ in range(2):
        noise = rng.standard_normal((size, size), dtype=np.float32)
        noise = blur(noise, (grain * 0.5, grain * 1.0))
        parts.append(noise / noise.std())
    speckle = np.hypot(parts[0], parts[1]) / np.float32(1.25)
    if not linear:
        where = [depth * np.float32(size - 1), across * np.float32(size - 1)]
        speckle = map_coordinates(speckle, where, order=1, mode="mirror")
    return np.maximum(1 + np.float32(scanner.noise) * (speckle - 1), np.float32(0.02))


def _overlay(image: Grid, size: int) -> None:
    """Burn in the depth scale."""
    column = size - max(3, size // 40)
    for tick in range(10):
        row = int(size * (0.06 + 0.09 * tick))
        length = size // 40 if tick % 5 == 0 else size // 80
        image[row, column - max(length, 1) : column] = 0.85


def _describe(masks: dict[str, Mask], spacing_mm: Spacing, depth: Grid) -> tuple[Finding, ...]:
    findings = []
    for name in ("cyst", "mass"):
        if name in masks:
            mask = masks[name]
            place = "superficial" if float(depth[mask].mean()) < 0.5 else "deep"
            size = round(measures.long_axis_mm(mask, spacing_mm), 1)
            findings.append(Finding(name, None, place, size, measures.count(mask)))
    return tuple(findings)
