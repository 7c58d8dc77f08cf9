"""Axial brain MR at the level of the lateral ventricles. The patient's left is on the right.

The lesion mask is the core with its rim, without the oedema around it.
"""

from dataclasses import dataclass

import numpy as np

from overread.imaging.phantoms import acquire, measures
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
    smooth_noise,
    smooth_union,
)
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.plan import plan
from overread.imaging.phantoms.scanners import Scanner, field_of
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Finding, Side
from overread.imaging.study import Mask, Spacing

SHIFT_PRESENT_MM = 3.0
_YIELD = 0.8  # part of a push that the ventricles follow
_FRONTAL_END, _PARIETAL_END = 0.40, 0.71  # parts of the brain's length, front to back


@dataclass(frozen=True, slots=True)
class Contrast:
    """Brightness of each tissue in one sequence, 0..1."""

    name: str
    scalp: float
    skull: float
    csf: float
    grey: float
    white: float
    core: float
    rim: float
    oedema: float


SEQUENCES = (
    Contrast("T1-weighted", 0.88, 0.10, 0.12, 0.42, 0.58, 0.26, 0.36, 0.46),
    Contrast("contrast-enhanced T1-weighted", 0.88, 0.10, 0.12, 0.42, 0.56, 0.22, 0.98, 0.44),
    Contrast("T2-weighted", 0.55, 0.08, 0.95, 0.56, 0.38, 0.82, 0.62, 0.70),
    Contrast("FLAIR", 0.50, 0.08, 0.07, 0.52, 0.40, 0.90, 0.97, 0.74),
)


def draw(case: Case, scanner: Scanner) -> Drawn:
    """Draw the brain slice of a case."""
    scales = plan(case, {"lesion": 1.0})
    spacing = field_of(case, scanner)
    frame = make_frame(case.size, spacing, case.anatomy("warp"), case.moment("pose"), 1.2, 4, 2.5)
    look = SEQUENCES[int(case.anatomy("sequence").integers(len(SEQUENCES)))]
    rng = case.anatomy("head")
    half = (rng.uniform(78, 90), rng.uniform(62, 71))
    surface = _surface(frame, half, rng)
    lesion = _lesion_shape(frame, half, scales.get("lesion"), case)
    moved = _displaced(frame, surface, half, scales, case)
    image = _head(frame, surface, look, rng)
    ventricles = _brain(image, frame, moved, surface, half, look, case)
    masks = {"brain": inside(surface), "ventricles": inside(ventricles, surface + 4)}
    if lesion is not None:
        _paint_lesion(image, frame, lesion, surface, ventricles, look, case)
        masks["lesion"] = inside(lesion, surface + 3, -ventricles + 1)
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    pixels = acquire.grey(image, scanner, spacing, case.moment("noise"))
    technique = f"Axial {look.name} MR image of the brain."
    return Drawn(pixels, spacing, masks, _describe(masks, spacing), "brain", "axial", technique)


def _surface(frame: Frame, half: tuple[float, float], rng: np.random.Generator) -> Grid:
    """Signed distance to the brain's outline: an oval, broader behind."""
    broad = 1 + np.float32(rng.uniform(0.0, 0.09)) * frame.y / np.float32(half[0])
    x = frame.x / broad
    level = (np.abs(frame.y / np.float32(half[0]))) ** np.float32(2.25)
    level = level + np.abs(x / np.float32(half[1])) ** np.float32(2.25)
    return (level ** np.float32(1 / 2.25) - 1) * np.float32(min(half))


def _mass_effect(case: Case) -> bool:
    return bool(case.anatomy("mass effect").random() < 0.5)


def _lesion_side(case: Case) -> int:
    return int(case.anatomy("lesion side").choice((-1, 1)))


def _lesion_shape(
    frame: Frame, half: tuple[float, float], scale: float | None, case: Case
) -> Grid | None:
    if scale is None:
        return None
    rng = case.anatomy("lesion")
    pushes = _mass_effect(case)
    radius = (rng.uniform(13, 18) if pushes else rng.uniform(6, 11)) * scale**0.8
    level = float(rng.choice((0.26, 0.55, 0.81)) + rng.uniform(-0.03, 0.03))
    y = (2 * level - 1) * half[0]
    reach = half[1] * float(np.sqrt(max(1 - (y / half[0]) ** 2, 0.1)))
    x = _lesion_side(case) * max(reach - radius - rng.uniform(6, 12), radius + 9)
    return blob(frame, (y, x), radius, rng, rng.uniform(0.06, 0.16), 5, rng.uniform(0.8, 1.2), 32)


def _displaced(
    frame: Frame, surface: Grid, half: tuple[float, float], scales: dict[str, float], case: Case
) -> Frame:
    """Move deep structures sideways, away from a large lesion; the outline stays.

    The random deformation has a little shift of its own, which is measured and taken off, so that
    a midline is either clearly shifted or not at all.
    """
    wanted = 0.0
    if "lesion" in scales and _mass_effect(case):
        amount = case.anatomy("shift").uniform(5.5, 10.0) * min(scales["lesion"], 1.25) ** 0.5
        wanted = -_lesion_side(case) * amount
    brain = inside(surface)
    own = measures.midline_shift_mm(inside(_ventricles(frame, half, case)), brain, frame.spacing_mm)
    away = np.clip(1 - np.abs(frame.x) / np.float32(half[1] * 1.05), 0, 1) ** np.float32(0.7)
    along = np.clip(1 - np.square(frame.y / np.float32(half[0])), 0, 1)
    x = frame.x - np.float32((wanted - own) / _YIELD) * away * along
    return Frame(frame.size, frame.spacing_mm, frame.y, x, frame.angle, frame.shift_mm)


def _head(frame: Frame, surface: Grid, look: Contrast, rng: np.random.Generator) -> Grid:
    image = np.full(frame.x.shape, 0.015, dtype=np.float32)
    bone, skin = rng.uniform(9, 12), rng.uniform(14, 18)
    paint(image, np.float32(look.scalp), fill(surface - skin, 1.5))
    paint(image, np.float32(look.skull), fill(surface - bone, 1.5))
    marrow = np.abs(surface - np.float32(bone / 2 + 1.4)) - np.float32(1.1)
    paint(image, np.float32(look.skull + 0.2), fill(marrow, 1.5))
    paint(image, np.float32(look.csf), fill(surface - 2.2, 1.5))
    return image


def _brain(
    image: Grid,
    frame: Frame,
    moved: Frame,
    surface: Grid,
    half: tuple[float, float],
    look: Contrast,
    case: Case,
) -> Grid:
    """Draw cortex, white matter, deep nuclei, falx and ventricles; return the ventricles."""
    rng = case.anatomy("brain")
    depth = -surface
    cells = round(frame.size * frame.spacing_mm[1] / rng.uniform(7.5, 9.5))
    fold = np.abs(smooth_noise(rng, frame.size, cells))
    fade = np.clip(1 - depth / np.float32(rng.uniform(20, 25)), 0, 1)
    split = np.abs(moved.x)
    front_back = np.clip((np.abs(moved.y) - np.float32(0.35 * half[0])) / 14, 0, 1)
    fade = np.maximum(fade, np.clip(1 - split / 9, 0, 1) * front_back)
    cortex: Grid = np.clip((np.float32(0.62) * np.sqrt(fade) + fade * 0.3 - fold) * 5, 0, 1)
    cortex = np.maximum(cortex, fill(depth - 3.2, 1.5))
    paint(image, np.float32(look.white), fill(surface, 1.2))
    paint(image, np.float32(look.grey), fill(surface, 1.2) * cortex)
    age = min(max((case.age - 40) / 45, 0.0), 1.0)
    sulci = fade * np.clip((np.float32(0.10 + 0.10 * age) * fade - fold) * 14 + 0.3, 0, 1)
    paint(image, np.float32(look.csf), fill(surface, 1.2) * np.clip(sulci * 1.5, 0, 1))
    _deep_nuclei(image, moved, look, rng)
    falx: Grid = fill(split - np.float32(0.9), 1.6) * np.clip(
        (np.abs(moved.y) - np.float32(0.42 * half[0])) / 6, 0, 1
    )
    paint(image, np.float32(look.csf), falx * fill(surface, 2))
    image += np.float32(0.012) * fractal_noise(rng, frame.size, 24, 2) * fill(surface, 2)
    ventricles = _ventricles(moved, half, case)
    paint(image, np.float32(look.csf), fill(ventricles, 1.6))
    return ventricles


def _deep_nuclei(image: Grid, moved: Frame, look: Contrast, rng: np.random.Generator) -> None:
    grey = np.float32(0.6 * look.grey + 0.4 * look.white) if look.grey < 0.5 else look.grey
    for sign in (-1, 1):
        thalamus = ellipse(moved, (12, sign * 11), (12, 8), sign * 25)
        lentiform = ellipse(moved, (-2, sign * 24), (14, 7), -sign * 14)
        caudate = ellipse(moved, (-19, sign * 12), (9, 5), sign * 18)
        for nucleus in (thalamus, lentiform, caudate):
            paint(image, np.float32(grey), fill(nucleus, 3) * np.float32(rng.uniform(0.75, 0.95)))


def _ventricles(moved: Frame, half: tuple[float, float], case: Case) -> Grid:
    rng = case.anatomy("ventricles")
    size = rng.uniform(0.85, 1.15) * (0.85 + 0.5 * float(np.clip((case.age - 40) / 45, 0, 1)))
    back = rng.uniform(0.8, 1.1)
    shape: Grid | None = None
    for sign in (-1, 1):
        front = ellipse(moved, (-22, sign * 8.5 * size), (14, 3.8 * size), sign * 16)
        body = ellipse(moved, (-4, sign * 5.2 * size), (12, 2.4 * size), -sign * 4)
        horn = ellipse(moved, (34, sign * 18), (15 * back, 4.4 * size), -sign * 8)
        trunk = ellipse(moved, (14, sign * 10), (14, 2.6 * size), -sign * 26)
        one = smooth_union(smooth_union(front, body, 4), smooth_union(horn, trunk, 4), 3)
        shape = one if shape is None else np.minimum(shape, one)
    third = ellipse(moved, (10, 0), (11, 1.6 * size))
    assert shape is not None
    return np.minimum(shape, third)


def _paint_lesion(
    image: Grid,
    frame: Frame,
    lesion: Grid,
    surface: Grid,
    ventricles: Grid,
    look: Contrast,
    case: Case,
) -> None:
    rng = case.anatomy("lesion look")
    area = fill(surface + 2, 2) * fill(-ventricles, 2)
    swelling = rng.uniform(8, 16) if _mass_effect(case) else rng.uniform(3, 7)
    edge = lesion - np.float32(swelling) * (
        1 + np.float32(0.35) * smooth_noise(rng, frame.size, 14)
    )
    paint(image, np.float32(look.oedema), area * fill(edge, 7) * np.float32(0.85))
    paint(image, np.float32(look.rim), area * fill(lesion, 1.5))
    core = np.float32(look.core) + np.float32(0.05) * fractal_noise(rng, frame.size, 36, 2)
    rim = rng.uniform(2.2, 3.6)
    paint(image, core, area * fill(lesion + rim, 2.0))


def _describe(masks: dict[str, Mask], spacing_mm: Spacing) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    if "lesion" in masks:
        mask, brain = masks["lesion"], masks["brain"]
        columns = np.flatnonzero(brain.any(axis=0))
        middle = float(columns[0] + columns[-1]) / 2
        side: Side = "left" if measures.centroid(mask)[1] > middle else "right"
        level = measures.relative_row(mask, brain)
        lobe = (
            "frontal"
            if level < _FRONTAL_END
            else "parietal"
            if level < _PARIETAL_END
            else "occipital"
        )
        size = round(measures.long_axis_mm(mask, spacing_mm), 1)
        findings.append(Finding("lesion", side, f"{lobe} lobe", size))
    shift = measures.midline_shift_mm(masks["ventricles"], masks["brain"], spacing_mm)
    if abs(shift) >= SHIFT_PRESENT_MM:
        toward: Side = "left" if shift > 0 else "right"
        findings.append(Finding("midline shift", toward, size_mm=round(abs(shift), 1)))
    return tuple(findings)
