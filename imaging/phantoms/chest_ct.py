"""Axial chest CT at the level of the heart, in HU. The patient's left is on the right.

Lung masks are the anatomical lungs, with their vessels and nodules.
"""

import numpy as np

from overread.imaging.phantoms import acquire, measures
from overread.imaging.phantoms.ct_body import Torso, draw_spine, draw_torso, textured
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
    paint,
    pick_point,
    smooth_union,
    strokes,
)
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.plan import plan
from overread.imaging.phantoms.scanners import Scanner, field_of
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Finding, Side
from overread.imaging.study import Mask, Spacing


def draw(case: Case, scanner: Scanner) -> Drawn:
    """Draw the chest slice of a case."""
    scales = plan(case, {"nodule": 1.0})
    spacing = field_of(case, scanner)
    frame = make_frame(case.size, spacing, case.anatomy("warp"), case.moment("pose"), 3.0, 6, 2.5)
    rng = case.anatomy("torso")
    fat = rng.uniform(8, 22)
    torso = Torso(rng.uniform(98, 112), rng.uniform(140, 155), fat, rng.uniform(14, 20))
    image, body, cavity = draw_torso(frame, torso, case, ribs=True)
    heart, centre, lungs = _organs(frame, torso, cavity, case)
    _paint_chest(image, frame, torso, case, (cavity, heart, centre, lungs))
    masks = {
        "body": inside(body),
        "left lung": inside(lungs, -frame.x),
        "right lung": inside(lungs, frame.x),
        "heart": inside(heart),
    }
    if "nodule" in scales:
        nodule = _nodules(image, frame, scales["nodule"], case, lungs, masks)
        if nodule.any():
            masks["nodule"] = nodule
    pixels = acquire.hounsfield(image, scanner, spacing, case.moment("noise"))
    technique = "Axial CT image of the chest, with intravenous contrast."
    if not _contrast(case):
        technique = "Axial CT image of the chest, without intravenous contrast."
    return Drawn(pixels, spacing, masks, _describe(masks, spacing), "chest", "axial", technique)


def _contrast(case: Case) -> bool:
    return bool(case.anatomy("contrast").random() < 0.5)


def _organs(frame: Frame, torso: Torso, cavity: Grid, case: Case) -> tuple[Grid, Grid, Grid]:
    """Signed distances of heart, mediastinum and both lungs."""
    rng = case.anatomy("organs")
    at = (-torso.half[0] * 0.24, rng.uniform(16, 26))
    long = rng.uniform(50, 62)
    main = ellipse(frame, at, (long * rng.uniform(0.66, 0.76), long), -rng.uniform(18, 34))
    atrium = ellipse(frame, (at[0] + 14, at[1] - 34), (27, 24))
    heart = np.maximum(smooth_union(main, atrium, 12), cavity + 5)
    band = np.abs(frame.x - np.float32(4)) - np.float32(rng.uniform(15, 21))
    spine = ellipse(frame, (torso.spine_row, 0), (27, 24))
    sternum = ellipse(frame, (-torso.half[0] + torso.fat + 16, 0), (16, 34))
    centre = smooth_union(smooth_union(band, spine, 10), sternum, 10)
    centre = np.minimum(centre, _aorta(frame, torso) - 1)
    lungs = np.maximum(cavity + 3, -np.minimum(heart - 3, centre))
    return heart, centre, lungs


def _aorta(frame: Frame, torso: Torso) -> Grid:
    return ellipse(frame, (torso.spine_row - 22, 24), (12, 12))


def _paint_chest(
    image: Grid, frame: Frame, torso: Torso, case: Case, parts: tuple[Grid, Grid, Grid, Grid]
) -> None:
    cavity, heart, centre, lungs = parts
    rng = case.anatomy("paint")
    blood = rng.uniform(140, 240) if _contrast(case) else rng.uniform(35, 48)
    paint(image, np.float32(-75), fill(np.maximum(centre, cavity + 2), 4))
    paint(image, np.float32(45), fill(np.abs(centre) - 1, 3) * fill(cavity + 4, 3))
    draw_spine(image, frame, torso, case)
    paint(image, np.float32(45), fill(heart, 3.0))
    for y, x, r in ((-0.32, 34.0, 24.0), (-0.18, -4.0, 22.0), (-0.05, 16.0, 18.0)):
        place = (torso.half[0] * y, x + rng.uniform(-4, 4))
        chamber = ellipse(frame, place, (r, r * rng.uniform(0.9, 1.2)))
        paint(image, np.float32(blood), fill(np.maximum(chamber, heart + 7), 5))
    paint(image, np.float32(blood + 10), fill(_aorta(frame, torso), 2.5))
    oesophagus = ellipse(frame, (torso.spine_row - 32, 6), (6, 9))
    paint(image, np.float32(38), fill(oesophagus, 2.5))
    air = np.float32(rng.uniform(-885, -835)) + np.float32(22) * fractal_noise(
        rng, frame.size, 24, 3
    )
    air = air + np.float32(0.5) * (frame.y + 20)
    paint(image, air, fill(lungs, 2.5))
    vessels = _vessels(frame, torso, case)
    paint(image, np.float32(30 if blood < 100 else 110), vessels * fill(lungs + 4, 4))
    for sign in (-1, 1):
        bronchus = ellipse(frame, (4 + rng.uniform(-6, 6), 4 + sign * 36), (5, 5.5))
        ring: Grid = np.abs(bronchus) - np.float32(1.2)
        paint(image, np.float32(-20), fill(ring, 1.8))
        paint(image, np.float32(-980), fill(bronchus + 1.2, 1.8))


def _vessels(frame: Frame, torso: Torso, case: Case) -> Grid:
    rng = case.anatomy("vessels")
    px = 1 / frame.spacing_mm[1]
    lines: list[Stroke] = []
    for sign in (-1, 1):
        root = np.array([8.0, sign * 32.0 + 5])
        for angle in np.linspace(-80, 85, 10) + rng.normal(0, 6, 10):
            bend = np.radians(angle) + np.cumsum(rng.normal(0, 0.16, 6))
            step = rng.uniform(9, 15)
            moves = np.stack([np.sin(bend), sign * np.cos(bend)], axis=1) * step
            path = root + np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
            points = frame.to_pixels(path)
            for i in range(6):
                lines.append((points[i : i + 2], px * (4.2 - 0.55 * i), 0.95 - 0.1 * i))
            for i in (2, 4):
                fork = bend[i] + rng.choice((-1, 1)) * rng.uniform(0.4, 0.8)
                end = path[i] + np.array([np.sin(fork), sign * np.cos(fork)]) * rng.uniform(18, 32)
                lines.append((frame.to_pixels(np.stack([path[i], end])), px * 1.7, 0.6))
        for _ in range(26):
            at = np.array([rng.uniform(-70, 70), sign * rng.uniform(45, 120)])
            dot = np.stack([at, at + rng.normal(0, 1.2, 2)])
            lines.append((frame.to_pixels(dot), px * rng.uniform(1.2, 2.6), rng.uniform(0.5, 0.9)))
    return strokes(frame.size, lines, 0.5)


def _nodules(
    image: Grid, frame: Frame, scale: float, case: Case, lungs: Grid, masks: dict[str, Mask]
) -> Mask:
    rng = case.anatomy("nodule")
    side = "left lung" if rng.random() < 0.5 else "right lung"
    rows = np.flatnonzero(masks[side].any(axis=1))
    level = np.arange(masks[side].shape[0], dtype=np.float32)[:, None] - np.float32(rows[0])
    level /= np.float32(max(rows[-1] - rows[0], 1))
    low, high = (0.58, 0.9) if rng.random() < 0.5 else (0.1, 0.42)
    band = masks[side] & (level > low) & (level < high)
    total = np.zeros_like(band)
    free = np.ones_like(band)
    for _ in range(int(rng.choice((1, 1, 1, 2, 3)))):
        first = rng.uniform(5.0, 10.0)
        radius, rough = first * scale**0.85, float(rng.choice((0.05, 0.13)))
        centre = pick_point(frame, band & free & (lungs < -1.5 * first - 2), rng)
        if centre is None:
            continue
        shape = np.maximum(blob(frame, centre, radius, rng, rough, 7), lungs + 1)
        paint(image, textured(rng, frame.size, rng.uniform(20, 55), 8), fill(shape, 1.8))
        total |= inside(shape)
        free &= shape > 30
    return total & masks[side]


def _describe(masks: dict[str, Mask], spacing_mm: Spacing) -> tuple[Finding, ...]:
    if "nodule" not in masks:
        return ()
    mask = masks["nodule"]
    left = np.count_nonzero(mask & masks["left lung"])
    side: Side = "left" if 2 * left > np.count_nonzero(mask) else "right"
    place = "anterior" if measures.relative_row(mask, masks[f"{side} lung"]) < 0.5 else "posterior"
    size = round(measures.long_axis_mm(mask, spacing_mm), 1)
    return (Finding("nodule", side, place, size, measures.count(mask)),)
