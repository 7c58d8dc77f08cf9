"""Colour fundus photographs. In a right eye the optic disc is on the right of the picture."""

import numpy as np
from numpy.typing import NDArray

from overread.imaging.phantoms import acquire, measures
from overread.imaging.phantoms.drawing import (
    Frame,
    Grid,
    Stroke,
    blob,
    ellipse,
    fill,
    fractal_noise,
    inside,
    make_frame,
    smooth_noise,
    strokes,
)
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.plan import plan
from overread.imaging.phantoms.scanners import Scanner, field_of
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Finding, Side
from overread.imaging.study import Mask, Spacing

Colour = tuple[float, float, float]
DISC_MM = 2.3  # from the middle of the picture to the disc


def draw(case: Case, scanner: Scanner) -> Drawn:
    """Draw the fundus photograph of a case."""
    scales = plan(case, {"haemorrhage": 1.0, "exudate": 1.0})
    spacing = field_of(case, scanner)
    frame = make_frame(case.size, spacing, case.anatomy("warp"), case.moment("pose"), 0.09, 0.2, 4)
    eye: Side = "left" if case.anatomy("eye").random() < 0.5 else "right"
    nasal = 1 if eye == "right" else -1
    rng = case.anatomy("disc")
    radius = (rng.uniform(0.92, 1.12), rng.uniform(0.82, 0.98))
    at = (rng.uniform(-0.35, 0.35), nasal * rng.uniform(2.5, 3.1))
    share = rng.uniform(0.25, 0.75)
    disc = ellipse(frame, at, radius, rng.uniform(-8, 8))
    cup_at = (at[0] + rng.uniform(-0.05, 0.05), at[1] - nasal * 0.05)
    cup = ellipse(frame, cup_at, (radius[0] * share, radius[1] * share * rng.uniform(0.9, 1.05)))
    line = np.arange(case.size, dtype=np.float32) - (case.size - 1) / 2
    edge = case.size * 0.485 - np.hypot(line[:, None], line[None, :])
    aperture = np.clip(edge + np.float32(0.5), 0, 1).astype(np.float32)
    masks = {
        "optic disc": inside(disc),
        "optic cup": inside(cup, disc),
        "retina": edge > 0,
    }
    image = _retina(frame, case, at, nasal)
    _disc(image, frame, disc, cup, case)
    _vessels(image, frame, case, at, nasal)
    masks |= _spots(image, frame, case, scales, nasal, disc, edge)
    image *= aperture[:, :, None]
    pixels = acquire.colour(image, scanner, spacing, case.moment("noise"))
    pixels[edge < -1] = np.minimum(pixels[edge < -1], 6)
    technique = f"Colour fundus photograph of the {eye} eye."
    return Drawn(
        pixels, spacing, masks, _describe(masks, spacing, nasal), "eye", "", technique, eye
    )


def _blend(image: Grid, colour: Colour, coverage: Grid) -> None:
    for band in range(3):
        plane = image[:, :, band]
        plane += (np.float32(colour[band]) - plane) * coverage


def _retina(frame: Frame, case: Case, disc_at: tuple[float, float], nasal: int) -> Grid:
    rng = case.anatomy("retina")
    base = np.array([rng.uniform(0.72, 0.88), rng.uniform(0.32, 0.44), rng.uniform(0.1, 0.2)])
    mottle = np.float32(0.035) * fractal_noise(rng, frame.size, 8, 4)
    choroid = np.abs(smooth_noise(rng, frame.size, 22)) * np.float32(rng.uniform(0, 0.06))
    shade = 1 + mottle - choroid
    shade = shade - np.float32(0.012) * (frame.y**2 + frame.x**2) / 3
    image = shade[:, :, None] * base.astype(np.float32)
    macula = (disc_at[0] + rng.uniform(0.2, 0.5), disc_at[1] - nasal * rng.uniform(4.0, 4.6))
    spot = np.hypot(frame.y - np.float32(macula[0]), frame.x - np.float32(macula[1]))
    dark = np.exp(-(spot**2) / 1.1) * np.float32(rng.uniform(0.3, 0.45))
    dark = dark + np.exp(-(spot**2) / 0.05) * np.float32(0.15)
    return image * (1 - dark[:, :, None] * np.array([0.75, 1.0, 0.9], dtype=np.float32))


def _disc(image: Grid, frame: Frame, disc: Grid, cup: Grid, case: Case) -> None:
    rng = case.anatomy("disc look")
    _blend(image, (0.95, 0.6, 0.3), np.clip(np.exp(-np.maximum(disc, 0) / 0.25) * 0.35, 0, 1))
    _blend(image, (0.97, rng.uniform(0.64, 0.74), rng.uniform(0.36, 0.46)), fill(disc, 0.14))
    _blend(image, (1.0, rng.uniform(0.88, 0.95), rng.uniform(0.68, 0.8)), fill(cup, 0.13))


def _vessels(
    image: Grid, frame: Frame, case: Case, disc_at: tuple[float, float], nasal: int
) -> None:
    rng = case.anatomy("vessels")
    px = 1 / frame.spacing_mm[1]
    for vein in (True, False):
        lines: list[Stroke] = []
        for updown in (-1, 1):
            wide = (0.17 if vein else 0.11) * px
            spread = rng.uniform(2.3, 2.9) + (0.3 if vein else -0.15)
            arc = _arcade(disc_at, nasal, updown, spread, rng)
            _trunk(lines, frame, arc, wide, rng, 3, nasal)
            away = np.linspace(0, 1, 9)
            y = disc_at[0] + updown * (away**0.8 * rng.uniform(2.2, 3.8))
            x = disc_at[1] + nasal * away * rng.uniform(1.6, 2.6)
            side = np.stack([y, x], axis=1) + rng.normal(0, 0.05, (9, 2)) * away[:, None]
            _trunk(lines, frame, side, wide * 0.7, rng, 2, nasal)
        cover = strokes(frame.size, lines, 0.35)
        colour = (0.42, 0.08, 0.07) if vein else (0.62, 0.16, 0.1)
        _blend(image, colour, cover * np.float32(0.82))


def _arcade(
    disc_at: tuple[float, float], nasal: int, updown: int, spread: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the path of a temporal arcade: out of the disc, around the macula."""
    s = np.linspace(0, 1, 16)
    reach = rng.uniform(7.2, 8.6)
    x = disc_at[1] - nasal * reach * s**1.35
    y = disc_at[0] + updown * spread * np.sin(np.pi * np.clip(s * 0.9, 0, 1)) ** 0.62
    wobble = np.cumsum(rng.normal(0, 0.035, (16, 2)), axis=0)
    return np.stack([y, x], axis=1) + wobble


def _trunk(
    lines: list[Stroke],
    frame: Frame,
    path: NDArray[np.float64],
    width: float,
    rng: np.random.Generator,
    depth: int,
    nasal: int,
) -> None:
    points = frame.to_pixels(path)
    last = len(points) - 1
    for i in range(last):
        lines.append((points[i : i + 2], max(width * (1 - 0.6 * i / last), 0.5), 1.0))
    if depth == 0:
        return
    for at in rng.choice(np.arange(3, last), min(3, last - 3), replace=False):
        ahead = path[at + 1] - path[at]
        angle = np.arctan2(ahead[0], ahead[1]) + rng.choice((-1, 1)) * rng.uniform(0.45, 0.95)
        length = rng.uniform(0.9, 2.2) * (0.5 + 0.25 * depth)
        bends = angle + np.cumsum(rng.normal(0, 0.18, 7))
        moves = np.stack([np.sin(bends), np.cos(bends)], axis=1) * length / 7
        twig = path[at] + np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
        _trunk(lines, frame, twig, width * 0.42, rng, depth - 2 if depth > 1 else 0, nasal)


def _spots(
    image: Grid,
    frame: Frame,
    case: Case,
    scales: dict[str, float],
    nasal: int,
    disc: Grid,
    edge: Grid,
) -> dict[str, Mask]:
    """Draw haemorrhages and exudates, each in one quadrant, and return their masks."""
    quadrants = case.anatomy("quadrants").permutation(4)
    found: dict[str, Mask] = {}
    taken = (disc < 0.25) | (edge < case.size * 0.05)
    for i, name in enumerate(("haemorrhage", "exudate")):
        if name not in scales:
            continue
        rng = case.anatomy(name)
        updown, side = ((-1, -1), (-1, 1), (1, -1), (1, 1))[int(quadrants[i])]
        total = np.zeros(taken.shape, dtype=bool)
        wanted = max(1, round(int(rng.integers(2, 7 if i == 0 else 10)) * scales[name] ** 0.9))
        centre = (updown * rng.uniform(1.6, 2.4), side * rng.uniform(1.5, 2.3))
        drawn = 0
        for _ in range(wanted * 3):
            at = (centre[0] + rng.normal(0, 0.75), centre[1] + rng.normal(0, 0.75))
            radius = rng.uniform(0.16, 0.34) if i == 0 else rng.uniform(0.11, 0.2)
            if at[0] * updown < 0.5 or at[1] * side < 0.5 or drawn == wanted:
                continue
            shape = blob(frame, at, radius, rng, 0.16 if i == 0 else 0.1, 5, rng.uniform(0.7, 1.4))
            guard = shape < 4 * frame.spacing_mm[1]
            if (guard & taken).any():
                continue
            taken |= guard
            total |= inside(shape)
            drawn += 1
            soft = 0.09 if i == 0 else 0.06
            colour = (0.40, 0.045, 0.04) if i == 0 else (0.99, 0.90, 0.45)
            _blend(image, colour, fill(shape, soft) * np.float32(0.9))
        if total.any():
            found[name] = total
    return found


def _describe(masks: dict[str, Mask], spacing_mm: Spacing, nasal: int) -> tuple[Finding, ...]:
    findings = []
    for name in ("haemorrhage", "exudate"):
        if name in masks:
            mask = masks[name]
            row, column = measures.centroid(mask)
            middle = (mask.shape[0] - 1) / 2
            up = "supero" if row < middle else "infero"
            across = "nasal" if (column - middle) * nasal > 0 else "temporal"
            size = round(measures.long_axis_mm(mask, spacing_mm), 2)
            findings.append(Finding(name, None, up + across, size, measures.count(mask)))
    return tuple(findings)
