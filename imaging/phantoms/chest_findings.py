"""Findings of the chest radiograph: drawn on the lung fields, then described from their masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from overread.imaging.phantoms import measures
from overread.imaging.phantoms.drawing import (
    Frame,
    Grid,
    blob,
    fill,
    fractal_noise,
    inside,
    paint,
    smooth_noise,
)
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Finding, Side
from overread.imaging.study import Mask, Spacing

CARDIOMEGALY_RATIO = 0.5
SMALL, LARGE = 0.12, 0.35  # part of the lung field taken by an effusion or a pneumothorax
_ZONES = {"upper": (0.17, 0.27), "middle": (0.42, 0.56), "lower": (0.72, 0.8)}
_ACROSS = {"upper": (0.35, 0.65), "middle": (0.3, 0.48), "lower": (0.45, 0.6)}


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A radiograph being drawn: the picture, signed distances and cage sizes in mm."""

    case: Case
    frame: Frame
    image: Grid
    wall: Grid
    lung: Grid
    width: Grid
    top: float
    base: float
    t: Grid


def cage_width(t: Grid) -> Grid:
    """Return the half width of the rib cage, 0..1, at depth t: 0 is the apex, 1 the base."""
    return (1 - (1 - t) ** np.float32(2.5)) ** np.float32(0.54)


def _sides(case: Case) -> tuple[dict[str, int], dict[str, str]]:
    """Return the side (1 is the patient's left) and zone of each finding, present or not.

    A nodule or a consolidation never lies where the patient's effusion or pneumothorax would hide it.
    """
    rng = case.anatomy("sides")
    fluid = int(rng.choice((-1, 1)))
    nodule = int(rng.choice((-1, 1)))
    sides = {"effusion": fluid, "pneumothorax": -fluid, "nodule": nodule, "consolidation": -nodule}
    zones = {
        name: str(rng.choice(("upper", "middle") if sides[name] == fluid else ("middle", "lower")))
        for name in ("nodule", "consolidation")
    }
    return sides, zones


def add_findings(
    draft: Draft, scales: Mapping[str, float], masks: Mapping[str, Mask]
) -> dict[str, Mask]:
    """Draw the planned findings into the picture and return their masks."""
    sides, zones = _sides(draft.case)
    drawers = {
        "consolidation": _consolidation,
        "nodule": _nodules,
        "pneumothorax": _pneumothorax,
        "effusion": _effusion,
    }
    found: dict[str, Mask] = {}
    for name, drawer in drawers.items():
        if name in scales:
            lung = masks["left lung" if sides[name] > 0 else "right lung"]
            mask = drawer(draft, scales[name], sides[name], zones.get(name, ""), lung) & lung
            if mask.any():
                found[name] = mask
    if "pneumothorax" in found and "consolidation" in found:
        found["consolidation"] &= ~found["pneumothorax"]
    return {name: mask for name, mask in found.items() if mask.any()}


def _place(draft: Draft, side: int, zone: str, lung: Mask, rng: np.random.Generator) -> Any:
    """Return a point (y, x in mm) of a lung zone, away from the field's borders."""
    rows = np.flatnonzero(lung.any(axis=1))
    low, high = _ZONES[zone]
    row = int(rows[0] + (rows[-1] - rows[0]) * rng.uniform(low, high))
    columns = np.flatnonzero(lung[row])
    low, high = _ACROSS[zone]
    at = rng.uniform(low, high)
    at = at if side > 0 else 1 - at
    column = int(columns[0] + (columns[-1] - columns[0]) * at)
    return float(draft.frame.y[row, column]), float(draft.frame.x[row, column])


def _nodules(draft: Draft, scale: float, side: int, zone: str, lung: Mask) -> Mask:
    rng = draft.case.anatomy("nodule")
    number = int(rng.choice((1, 1, 1, 2, 3)))
    y, x = _place(draft, side, zone, lung, rng)
    total = np.zeros_like(lung)
    for i in range(number):
        radius = rng.uniform(7.5, 11.5) * scale**0.85
        turn = rng.uniform(0, 2 * np.pi) + i * 2.4
        away = 0.0 if number == 1 else 26.0 + radius * 0.5
        centre = (y + away * np.sin(turn) * 0.8, x + away * np.cos(turn) * 0.6)
        shape = np.maximum(blob(draft.frame, centre, radius, rng, 0.07), draft.lung + 2)
        if (total & (shape < 4)).any():
            continue
        image = draft.image
        image += fill(shape, 3.0) * np.float32(rng.uniform(0.2, 0.26))
        total |= inside(shape)
    return total


def _consolidation(draft: Draft, scale: float, side: int, zone: str, lung: Mask) -> Mask:
    rng = draft.case.anatomy("consolidation")
    y, x = _place(draft, side, zone, lung, rng)
    radius = rng.uniform(24, 34) * scale**0.7
    shape = blob(draft.frame, (y, x), radius, rng, 0.16, 6, rng.uniform(0.75, 1.2), 20)
    shape = shape + 5 * smooth_noise(rng, draft.frame.size, 24)
    patchy = np.float32(0.03) * fractal_noise(rng, draft.frame.size, 26, 3)
    shape = np.maximum(shape, draft.lung)
    paint(draft.image, patchy + np.float32(rng.uniform(0.58, 0.66)), fill(shape, 14.0) * 0.85)
    return inside(shape)


def _pneumothorax(draft: Draft, scale: float, side: int, zone: str, lung: Mask) -> Mask:
    """Retract the lung from the apex and the lateral wall; the rim has no vessels."""
    rng = draft.case.anatomy("pneumothorax")
    collapse = np.float32(min(max(rng.uniform(0.06, 0.3) * scale, 0.08), 0.42))
    t = draft.t
    reach = np.float32(rng.uniform(0.75, 0.95))
    part = collapse * np.clip((reach - t) / reach, 0, 1) ** np.float32(0.6)
    drop = np.float32(collapse * 75)
    s = np.clip(
        (draft.frame.y - np.float32(draft.top) - drop) / np.float32(draft.base - draft.top), 0, 1
    )
    edge = cage_width(s) * draft.width.max() * (1 - part)
    edge = np.where(t < reach, np.minimum(edge, draft.width * (1 - part)), draft.width)
    rim = np.maximum(edge - np.abs(draft.frame.x), draft.lung)
    one_side = np.maximum(rim, -side * draft.frame.x)
    cover = fill(one_side, 2.0)
    smooth = np.float32(rng.uniform(0.1, 0.14))
    paint(draft.image, smooth, cover * np.float32(0.85))
    line = fill(np.abs(edge - np.abs(draft.frame.x)) - 1.0, 1.6) * fill(draft.lung + 2, 2.0)
    image = draft.image
    image += line * (side * draft.frame.x > 0) * (t < reach) * np.float32(0.16)
    return inside(one_side)


def _effusion(draft: Draft, scale: float, side: int, zone: str, lung: Mask) -> Mask:
    """Fill the base up to a meniscus that climbs the lateral wall."""
    rng = draft.case.anatomy("effusion")
    rows = np.flatnonzero(lung.any(axis=1))
    mm = float(rows[-1] - rows[0]) * draft.frame.spacing_mm[0]
    part = float(rng.choice((0.06, 0.18, 0.4))) * rng.uniform(0.85, 1.15) * scale
    sides, zones = _sides(draft.case)
    must_stay_clear = any(zones[name] == "middle" and sides[name] == side for name in zones)
    part = min(max(part, 0.06), 0.28 if must_stay_clear else 0.5)
    bottom = float(draft.frame.y[rows[-1], draft.frame.size // 2])
    climb = np.float32(rng.uniform(0.5, 0.8) * part * mm)
    meniscus = climb * np.exp(draft.wall / np.float32(rng.uniform(14, 22)))
    level = np.float32(bottom - part * mm) - np.minimum(meniscus, climb) - draft.frame.y
    shape = np.maximum(np.maximum(level, draft.lung), -side * draft.frame.x)
    cover = fill(np.maximum(level, draft.wall + 1), 5.0) * (side * draft.frame.x > 8)
    below = np.float32(rng.uniform(0.68, 0.76))
    paint(draft.image, below, cover * (draft.image < below))
    return inside(shape)


def describe(masks: Mapping[str, Mask], spacing_mm: Spacing) -> tuple[Finding, ...]:
    """Return the findings that the masks hold."""
    findings: list[Finding] = []
    for name in ("nodule", "effusion", "pneumothorax", "consolidation"):
        if name in masks:
            findings.append(_describe(name, masks, spacing_mm))
    if measures.width_ratio(masks["heart"], masks["thorax"]) > CARDIOMEGALY_RATIO:
        findings.append(Finding("cardiomegaly"))
    return tuple(findings)


def _describe(name: str, masks: Mapping[str, Mask], spacing_mm: Spacing) -> Finding:
    mask = masks[name]
    left = np.count_nonzero(mask & masks["left lung"])
    side: Side = "left" if 2 * left > np.count_nonzero(mask) else "right"
    lung = masks[f"{side} lung"]
    if name in ("effusion", "pneumothorax"):
        part = np.count_nonzero(mask) / np.count_nonzero(lung)
        severity = "small" if part < SMALL else "moderate" if part < LARGE else "large"
        place = "basal" if name == "effusion" else "apical"
        return Finding(name, side, place, severity=severity)
    third = measures.relative_row(mask, lung) * 3
    place = ("upper", "middle", "lower")[int(np.clip(third, 0, 2))] + " zone"
    size = round(measures.long_axis_mm(mask, spacing_mm), 1)
    number = measures.count(mask) if name == "nodule" else 1
    return Finding(name, side, place, size, number)
