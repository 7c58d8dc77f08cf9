"""Axial abdominal CT at the level of the kidneys, in HU. The liver is on the left of the picture.

Organ masks include their cysts.
"""

import numpy as np

from overread.imaging.phantoms import acquire, measures
from overread.imaging.phantoms.ct_body import Torso, draw_spine, draw_torso, textured
from overread.imaging.phantoms.drawing import (
    Frame,
    Grid,
    blob,
    ellipse,
    fill,
    fractal_noise,
    inside,
    make_frame,
    paint,
    pick_point,
    smooth_noise,
    smooth_union,
)
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.plan import plan
from overread.imaging.phantoms.scanners import Scanner, field_of
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Finding, Side
from overread.imaging.study import Mask, Spacing

ORGANS = ("liver", "left kidney", "right kidney", "spleen")
_HOSTS = ("liver", "left kidney", "right kidney")


def draw(case: Case, scanner: Scanner) -> Drawn:
    """Draw the abdominal slice of a case."""
    scales = plan(case, {"cyst": 1.0})
    spacing = field_of(case, scanner)
    frame = make_frame(case.size, spacing, case.anatomy("warp"), case.moment("pose"), 3.0, 6, 2.5)
    rng = case.anatomy("torso")
    torso = Torso(rng.uniform(98, 114), rng.uniform(138, 152), rng.uniform(10, 28), 13)
    image, body, cavity = draw_torso(frame, torso, case, ribs=False)
    contrast = bool(case.anatomy("contrast").random() < 0.65)
    _background(image, frame, torso, case, cavity, contrast)
    organs = _organs(frame, torso, case, cavity)
    _paint_organs(image, frame, organs, case, contrast)
    masks = {"body": inside(body)} | {name: inside(shape) for name, shape in organs.items()}
    if "cyst" in scales:
        cyst = _cysts(image, frame, scales["cyst"], case, organs, masks)
        if cyst.any():
            masks["cyst"] = cyst
    pixels = acquire.hounsfield(image, scanner, spacing, case.moment("noise"))
    how = "with" if contrast else "without"
    technique = f"Axial CT image of the abdomen, {how} intravenous contrast."
    return Drawn(pixels, spacing, masks, _describe(masks, spacing), "abdomen", "axial", technique)


def _organs(frame: Frame, torso: Torso, case: Case, cavity: Grid) -> dict[str, Grid]:
    rng = case.anatomy("organs")
    height, width = torso.half[0] - torso.fat - torso.wall, torso.half[1] - torso.fat - torso.wall
    wall = cavity + 3
    right = ellipse(frame, (-0.12 * height, -0.58 * width), (0.72 * height, 0.44 * width), -12)
    lobe = ellipse(
        frame,
        (-0.48 * height, -0.12 * width),
        (0.34 * height, rng.uniform(0.34, 0.52) * width),
        -10,
    )
    liver = np.maximum(smooth_union(right, lobe, 14), wall)
    spleen = ellipse(
        frame, (0.22 * height, 0.78 * width), (rng.uniform(0.34, 0.44) * height, 0.2 * width), -18
    )
    row = torso.spine_row - 6
    kidneys = {}
    for name, sign in (("left kidney", 1), ("right kidney", -1)):
        at = (row + rng.uniform(-5, 6), sign * rng.uniform(56, 64))
        size = rng.uniform(0.92, 1.08)
        kidneys[name] = blob(frame, at, 27 * size, rng, 0.03, 4, 1.0)
        hilum = ellipse(frame, (at[0] - 4, at[1] - sign * 29), (9, 13))
        kidneys[name] = np.maximum(kidneys[name], -hilum)
        kidneys[name] = np.maximum(kidneys[name], wall)
    liver = np.maximum(liver, 5 - ellipse(frame, (row, -60), (32, 32)))
    liver = np.maximum(liver, 14 - frame.x * 0 - ellipse(frame, (torso.spine_row, 0), (34, 34)))
    spleen = np.maximum(np.maximum(spleen, wall), 5 - kidneys["left kidney"])
    return {"liver": liver, "spleen": spleen} | kidneys


def _background(
    image: Grid, frame: Frame, torso: Torso, case: Case, cavity: Grid, contrast: bool
) -> None:
    """Draw fat, psoas, vessels, stomach, pancreas and bowel; in place."""
    rng = case.anatomy("background")
    paint(image, textured(rng, frame.size, -102, 9), fill(cavity, 2.5))
    row = torso.spine_row
    for sign in (-1, 1):
        psoas = ellipse(frame, (row + 4, sign * 34), (17, 12), -sign * 15)
        paint(image, np.float32(55), fill(psoas, 2.5))
    draw_spine(image, frame, torso, case)
    _bowel(image, frame, torso, case, cavity)
    blood = rng.uniform(140, 220) if contrast else rng.uniform(38, 48)
    aorta = ellipse(frame, (row - 29, 8), (10, 10))
    paint(image, np.float32(blood + 15), fill(aorta, 2))
    cava = ellipse(frame, (row - 27, -18), (9, 12), 10)
    paint(image, np.float32(blood - 15 if contrast else 42), fill(cava, 2))
    if case.age > 60:
        plaque = np.maximum(np.abs(aorta) - 1.2, -frame.x + 10)
        paint(image, np.float32(500), fill(plaque, 1.5))


def _bowel(image: Grid, frame: Frame, torso: Torso, case: Case, cavity: Grid) -> None:
    rng = case.anatomy("bowel")
    height, width = torso.half[0] - torso.fat - torso.wall, torso.half[1] - torso.fat - torso.wall
    stomach = ellipse(
        frame, (-0.48 * height, 0.42 * width), (0.34 * height, 0.38 * width), rng.uniform(5, 20)
    )
    stomach = np.maximum(stomach, cavity + 4)
    paint(image, np.float32(48), fill(stomach, 2.5))
    paint(image, np.float32(rng.uniform(5, 90)), fill(stomach + 4, 2.5))
    if rng.random() < 0.7:
        level = frame.y - np.float32(-height * rng.uniform(0.5, 0.62))
        paint(image, np.float32(-950), fill(np.maximum(stomach + 4, level), 2))
    pancreas = ellipse(frame, (torso.spine_row - 50, 14), (9, 44), 12)
    paint(image, textured(rng, frame.size, 62, 14), fill(pancreas, 4))
    for _ in range(int(rng.integers(7, 12))):
        at = (rng.uniform(-0.2, 0.42) * height, rng.uniform(-0.1, 0.72) * width)
        loop = blob(frame, at, rng.uniform(9, 16), rng, 0.14, 4, rng.uniform(0.7, 1.4))
        loop = np.maximum(loop, cavity + 4)
        paint(image, np.float32(50), fill(loop, 2))
        paint(image, np.float32(rng.uniform(10, 70)), fill(loop + 3, 2))
        if rng.random() < 0.45:
            level = frame.y - np.float32(at[0])
            paint(image, np.float32(-900), fill(np.maximum(loop + 3, level), 2))


def _paint_organs(
    image: Grid, frame: Frame, organs: dict[str, Grid], case: Case, contrast: bool
) -> None:
    rng = case.anatomy("organ paint")
    liver, spleen = (rng.uniform(95, 115), rng.uniform(110, 130)) if contrast else (62.0, 50.0)
    paint(image, textured(rng, frame.size, liver, 5), fill(organs["liver"], 2.5))
    ridge = np.abs(smooth_noise(rng, frame.size, 9))
    veins = np.clip(1 - ridge * 14, 0, 1) * fill(organs["liver"] + 10, 8)
    paint(image, np.float32(liver + 55 if contrast else liver - 14), veins * np.float32(0.8))
    paint(image, textured(rng, frame.size, spleen, 5), fill(organs["spleen"], 2.5))
    for name in ("left kidney", "right kidney"):
        shape = organs[name]
        cortex = rng.uniform(150, 190) if contrast else 39.0
        paint(image, np.float32(cortex), fill(shape, 2.5))
        medulla = shape + 7 + 2.5 * fractal_noise(rng, frame.size, 40, 1)
        paint(image, np.float32(cortex * 0.72 if contrast else 35), fill(medulla, 3))
        paint(image, np.float32(-70), fill(shape + 19, 5))


def _cysts(
    image: Grid,
    frame: Frame,
    scale: float,
    case: Case,
    organs: dict[str, Grid],
    masks: dict[str, Mask],
) -> Mask:
    rng = case.anatomy("cyst")
    host = _HOSTS[int(rng.choice(3, p=(0.4, 0.3, 0.3)))]
    shape, organ = organs[host], masks[host]
    total = np.zeros_like(organ)
    number = int(rng.choice((1, 1, 2))) if host == "liver" else 1
    for i in range(number):
        radius = (rng.uniform(9, 15) if host == "liver" else rng.uniform(6, 8.5)) * scale**0.75
        deep = shape < (-15 if host == "liver" else -8)
        if host == "liver":
            deep &= (frame.y < -8) == (i == 0)
        centre = pick_point(frame, deep, rng)
        if centre is None:
            continue
        cyst = np.maximum(blob(frame, centre, radius, rng, 0.03, 4), shape + 1)
        paint(image, np.float32(rng.uniform(0, 12)), fill(cyst, 1.8))
        total |= inside(cyst)
    return total & organ


def _describe(masks: dict[str, Mask], spacing_mm: Spacing) -> tuple[Finding, ...]:
    if "cyst" not in masks:
        return ()
    mask = masks["cyst"]
    host = max(_HOSTS, key=lambda name: np.count_nonzero(mask & masks[name]))
    sides: dict[str, Side] = {"left kidney": "left", "right kidney": "right"}
    size = round(measures.long_axis_mm(mask, spacing_mm), 1)
    return (Finding("cyst", sides.get(host), host, size, measures.count(mask)),)
