"""Frontal chest radiographs. The patient's left is on the right of the picture.

Lung masks are the anatomical lung fields, diseased parts included, without heart and mediastinum;
"thorax" is the inside of the rib cage above the diaphragm.
"""

import numpy as np
from numpy.typing import NDArray

from overread.imaging.phantoms import acquire
from overread.imaging.phantoms.chest_cage import (
    Cage,
    cage_of,
    draw_bones,
    draw_markers,
    draw_wires,
)
from overread.imaging.phantoms.chest_findings import Draft, add_findings, cage_width, describe
from overread.imaging.phantoms.drawing import (
    Frame,
    Grid,
    Stroke,
    ellipse,
    fill,
    fractal_noise,
    inside,
    make_frame,
    smooth_noise,
    smooth_union,
    strokes,
)
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.plan import plan
from overread.imaging.phantoms.scanners import Scanner, field_of
from overread.imaging.phantoms.seeds import Case

WEIGHTS = {
    "nodule": 1.0,
    "effusion": 1.1,
    "pneumothorax": 0.9,
    "consolidation": 1.0,
    "cardiomegaly": 1.0,
}


def draw(case: Case, scanner: Scanner) -> Drawn:
    """Draw the radiograph of a case."""
    scales = plan(case, WEIGHTS)
    spacing = field_of(case, scanner)
    frame = make_frame(case.size, spacing, case.anatomy("warp"), case.moment("pose"), 2.2, 5, 2.5)
    view = "AP" if case.anatomy("view").random() < 0.4 else "PA"
    cage = cage_of(case, "cardiomegaly" in scales)
    x, y = frame.x, frame.y
    t = np.clip((y - cage.top) / np.float32(cage.base - cage.top), 0, 1)
    width = np.float32(cage.half) * cage_width(t)
    wall = np.abs(x) - width
    wall = np.maximum(wall, np.float32(cage.top) - y)
    diaphragm = _diaphragm(frame, cage, case)
    heart = _heart(frame, cage, case, diaphragm)
    centre = _mediastinum(frame, cage, case)
    thorax = np.maximum(wall, diaphragm)
    lung = np.maximum(thorax, -np.minimum(heart, centre))
    image = _background(frame, cage, case)
    _chest(image, frame, cage, case, (wall, lung, heart, centre, diaphragm))
    draft = Draft(case, frame, image, wall, lung, width, cage.top, cage.base, t)
    masks = {
        "left lung": inside(lung, -x),
        "right lung": inside(lung, x),
        "heart": inside(heart, thorax),
        "thorax": inside(thorax),
    }
    masks |= add_findings(draft, scales, masks)
    draw_bones(image, frame, cage, case, wall, diaphragm)
    if view == "AP":
        draw_wires(image, frame, case)
    draw_markers(image, frame, case)
    findings = describe(masks, spacing)
    pixels = acquire.grey(image, scanner, spacing, case.moment("noise"))
    return Drawn(
        pixels, spacing, masks, findings, "chest", view, f"Frontal chest radiograph, {view} view."
    )


def _diaphragm(frame: Frame, cage: Cage, case: Case) -> Grid:
    """Signed distance below which the abdomen begins; the right dome is higher."""
    rng = case.anatomy("diaphragm")
    breath = case.moment("breath").uniform(-3, 3)
    lower = rng.uniform(6, 14)
    centre, half = 0.5 * cage.half, np.float32(0.54 * cage.half)
    u = np.clip((np.abs(frame.x) - np.float32(centre)) / half, -1, 1)
    bulge = np.float32(cage.dome) * (1 - np.abs(u) ** np.float32(rng.uniform(1.9, 2.4)))
    bulge = np.where((frame.x > 0) & (u > -0.95), bulge - np.float32(lower) * (1 - u * u), bulge)
    rim = np.where(u < 0, np.float32(cage.dome * 0.35) * u * u, 0)
    return frame.y - np.float32(cage.base + breath) + bulge + rim


def _heart(frame: Frame, cage: Cage, case: Case, diaphragm: Grid) -> Grid:
    rng = case.anatomy("heart")
    tilt = rng.uniform(24, 36)
    flat = rng.uniform(0.72, 0.82)
    tan = np.radians(tilt)
    half = cage.heart / 2
    long = half / float(np.hypot(np.cos(tan), flat * np.sin(tan)))
    offset = cage.heart * rng.uniform(0.14, 0.2)
    floor = cage.base - cage.dome * 0.55
    body = ellipse(frame, (floor - long * flat * 0.62, offset), (long * flat, long), -tilt)
    return np.maximum(body, diaphragm - np.float32(6))


def _mediastinum(frame: Frame, cage: Cage, case: Case) -> Grid:
    rng = case.anatomy("mediastinum")
    half = rng.uniform(19, 25)
    lean = np.float32(rng.uniform(0, 4))
    band = np.abs(frame.x - lean) - np.float32(half) - np.maximum(-frame.y - 95, 0) * 0.1
    knob = ellipse(frame, (cage.top + rng.uniform(66, 78), half + 3), (15, 13))
    pulmonary = ellipse(frame, (cage.top + rng.uniform(98, 108), half + 4), (17, 10))
    hilum = ellipse(frame, (cage.top + 116, -half - 2), (17, 9))
    grown = smooth_union(smooth_union(band, knob, 5), pulmonary, 6)
    return smooth_union(grown, hilum, 6)


def _background(frame: Frame, cage: Cage, case: Case) -> Grid:
    """Draw soft tissue: torso, shoulders, neck and arms on black."""
    rng = case.anatomy("body")
    x, y = np.abs(frame.x), frame.y
    fat = rng.uniform(26, 40)
    torso = np.maximum(x - np.float32(cage.half + fat), np.float32(cage.top + 6) - y)
    slope = np.float32(rng.uniform(0.28, 0.4))
    shoulder = np.maximum(
        np.float32(cage.top - 12) + slope * np.maximum(x - 48, 0) - y,
        np.maximum(x - np.float32(cage.half + 75), y - np.float32(cage.top + 75)),
    )
    neck = np.maximum(x - np.float32(rng.uniform(46, 56)), y - np.float32(cage.top + 20))
    arm = np.maximum(
        np.abs(x - np.float32(cage.half + fat + 34) - (y - cage.top) * 0.12) - 30,
        np.float32(cage.top + 40) - y,
    )
    body = smooth_union(smooth_union(torso, shoulder, 22), neck, 22)
    depth = np.clip(-np.minimum(body, arm) / 38, 0, 1)
    image = np.float32(0.03) + np.float32(0.57) * np.sqrt(depth)
    image += np.float32(0.012) * smooth_noise(rng, frame.size, 6)
    return image.astype(np.float32)


def _chest(
    image: Grid, frame: Frame, cage: Cage, case: Case, parts: tuple[Grid, Grid, Grid, Grid, Grid]
) -> None:
    """Draw lungs with their vessels, heart, mediastinum, spine and abdomen; in place."""
    wall, lung, heart, centre, diaphragm = parts
    rng = case.anatomy("tissue")
    x, y = frame.x, frame.y
    cover = fill(lung, 4.0)
    air = np.float32(rng.uniform(0.3, 0.44)) * (1 - np.float32(0.18) * np.clip(wall / 60 + 1, 0, 1))
    shade = np.float32(0.012) * fractal_noise(rng, frame.size, 10, 3)
    image -= cover * (air + shade)
    image += cover * np.float32(0.5) * _vessels(frame, cage, case)
    inner = fill(wall, 6.0)
    image += (
        inner * fill(np.maximum(heart, diaphragm - 8), 7.0) * np.float32(rng.uniform(0.06, 0.1))
    )
    image += inner * fill(centre, 8.0) * np.float32(0.05)
    spine = fill(np.abs(x) - 17, 9.0)
    discs = np.sin(y * np.float32(2 * np.pi / rng.uniform(20, 24)))
    image += spine * (np.float32(0.07) + np.float32(0.018) * discs)
    trachea = np.maximum(np.abs(x - 1.5) - 8, y - np.float32(cage.top + 92))
    image -= fill(np.maximum(trachea, np.float32(cage.top - 50) - y), 4.0) * np.float32(0.1)
    abdomen = fill(-diaphragm, 5.0) * fill(np.abs(x) - np.float32(cage.half + 22), 18.0)
    image += abdomen * np.float32(rng.uniform(0.1, 0.16))
    if rng.random() < 0.6:
        at = (cage.base - cage.dome * 0.5 + rng.uniform(12, 20), cage.half * rng.uniform(0.42, 0.6))
        bubble = ellipse(frame, at, (rng.uniform(9, 15), rng.uniform(18, 28)), rng.uniform(-15, 5))
        image -= fill(np.maximum(bubble, -diaphragm + 5), 4.0) * np.float32(0.24)
    if case.sex == "F":
        for sign in (-1, 1):
            at = (cage.base - rng.uniform(30, 45), sign * cage.half * 0.62)
            breast = ellipse(frame, at, (rng.uniform(45, 60), rng.uniform(52, 64)))
            image += fill(np.maximum(breast, -breast - 40), 10.0) * np.float32(0.05)


def _vessels(frame: Frame, cage: Cage, case: Case) -> Grid:
    rng = case.anatomy("vessels")
    lines: list[Stroke] = []
    px = 1 / frame.spacing_mm[1]
    for sign in (-1, 1):
        start = np.array([cage.top + 112, sign * 28.0])
        for angle in np.linspace(-70, 80, 13) + rng.normal(0, 5, 13):
            _branch(
                lines, frame, start, np.radians(angle), sign, rng.uniform(80, 120), 2.6 * px, rng
            )
    return strokes(frame.size, lines, 0.8)


def _branch(
    lines: list[Stroke],
    frame: Frame,
    start: NDArray[np.float64],
    angle: float,
    sign: int,
    length: float,
    width: float,
    rng: np.random.Generator,
) -> None:
    steps = 5
    bends = angle + np.cumsum(rng.normal(0, 0.13, steps))
    moves = np.stack([np.sin(bends), sign * np.cos(bends)], axis=1) * (length / steps)
    path = start + np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    points = frame.to_pixels(path)
    for i in range(steps):
        lines.append((points[i : i + 2], width * (1 - 0.16 * i), 0.52 - 0.085 * i))
    if length > 45:
        for at in (2, 3):
            turn = bends[at] + rng.choice((-1, 1)) * rng.uniform(0.3, 0.6)
            _branch(lines, frame, path[at], turn, sign, length * 0.45, width * 0.55, rng)
