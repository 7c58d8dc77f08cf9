"""The trunk around the organs of a CT slice: skin, fat, muscle, spine, ribs and table, in HU."""

from dataclasses import dataclass

import numpy as np

from overread.imaging.phantoms.drawing import (
    Frame,
    Grid,
    capsule,
    ellipse,
    fill,
    fractal_noise,
    paint,
    smooth_union,
)
from overread.imaging.phantoms.seeds import Case

AIR, FAT, MUSCLE, BONE, MARROW = -1000.0, -100.0, 55.0, 650.0, 190.0


@dataclass(frozen=True, slots=True)
class Torso:
    """Half height and half width of the body, subcutaneous fat and wall thickness, in mm."""

    half: tuple[float, float]
    fat: float
    wall: float

    def __init__(self, half_height: float, half_width: float, fat: float, wall: float) -> None:
        """Take the two halves apart, so that callers read them in order."""
        object.__setattr__(self, "half", (half_height + fat, half_width + fat))
        object.__setattr__(self, "fat", fat)
        object.__setattr__(self, "wall", wall)

    @property
    def spine_row(self) -> float:
        """Row of the vertebral body's centre, mm."""
        return self.half[0] - self.fat - 58


def textured(rng: np.random.Generator, size: int, value: float, spread: float) -> Grid:
    """Return a tissue value with fine mottling."""
    return np.float32(value) + np.float32(spread) * fractal_noise(rng, size, 40, 2)


def outline(frame: Frame, half: tuple[float, float], power: float) -> Grid:
    """Return the signed distance to a rounded box, as trunks are."""
    level = np.abs(frame.y / np.float32(half[0])) ** np.float32(power)
    level = level + np.abs(frame.x / np.float32(half[1])) ** np.float32(power)
    return (level ** np.float32(1 / power) - 1) * np.float32(min(half))


def draw_torso(frame: Frame, torso: Torso, case: Case, ribs: bool) -> tuple[Grid, Grid, Grid]:
    """Draw the empty trunk; return the picture and the distances of body and body cavity."""
    rng = case.anatomy("trunk")
    image = np.full(frame.x.shape, AIR, dtype=np.float32)
    power = rng.uniform(2.3, 2.8)
    body = outline(frame, torso.half, power)
    _table(image, frame, torso)
    paint(image, np.float32(20), fill(body, 1.5))
    paint(image, textured(rng, frame.size, FAT, 6), fill(body + 2, 1.5))
    muscle = body + np.float32(torso.fat)
    back = ellipse(frame, (torso.spine_row + 32, 0), (24, 74))
    groove = np.maximum(np.abs(frame.x) - 3, np.float32(torso.spine_row + 24) - frame.y)
    wall = smooth_union(muscle, np.maximum(back, body + 5), 8)
    paint(image, textured(rng, frame.size, MUSCLE, 9), fill(wall, 2))
    seam = np.abs(muscle + np.float32(torso.wall * 0.45)) - 1.0
    paint(image, np.float32(-60), fill(seam, 2.0) * np.float32(0.7))
    paint(image, np.float32(FAT), fill(groove, 2) * fill(body + 3, 2) * np.float32(0.6))
    cavity = muscle + np.float32(torso.wall)
    if ribs:
        _ribs(image, frame, torso, muscle, case)
    return image, body, cavity


def _table(image: Grid, frame: Frame, torso: Torso) -> None:
    top = np.float32(torso.half[0] + 6) - np.float32(0.0006) * frame.x**2
    shell = np.abs(frame.y - top - 7) - 7
    paint(image, np.float32(-880), fill(np.maximum(shell, np.abs(frame.x) - 190), 1.5))
    skin = np.abs(np.abs(frame.y - top - 7) - 7) - 0.8
    paint(image, np.float32(-300), fill(np.maximum(skin, np.abs(frame.x) - 190), 1.5))


def _ribs(image: Grid, frame: Frame, torso: Torso, muscle: Grid, case: Case) -> None:
    rng = case.anatomy("ribs")
    depth = torso.wall * 0.62
    line = muscle + np.float32(depth)
    start = rng.uniform(0, 0.2)
    for sign in (-1, 1):
        for turn in np.arange(-1.0, 1.25, 0.42) + start:
            radii = (torso.half[0] - torso.fat - depth, torso.half[1] - torso.fat - depth)
            centre = (radii[0] * np.sin(turn), sign * radii[1] * np.cos(turn))
            near = ellipse(frame, centre, (rng.uniform(9, 15), rng.uniform(9, 15)))
            rib = np.maximum(np.abs(line) - 4.2, near)
            paint(image, np.float32(BONE * 0.8), fill(rib, 1.8))
            paint(image, np.float32(MARROW), fill(rib + 2.2, 1.8))
    sternum = ellipse(frame, (-torso.half[0] + torso.fat + 13, 0), (6, 19))
    paint(image, np.float32(BONE * 0.7), fill(sternum, 1.8))
    paint(image, np.float32(MARROW * 0.7), fill(sternum + 2, 1.8))


def draw_spine(image: Grid, frame: Frame, torso: Torso, case: Case) -> None:
    """Draw a vertebra with its canal over what is there; in place."""
    rng = case.anatomy("spine")
    row, half = torso.spine_row, rng.uniform(19, 23)
    body = ellipse(frame, (row, 0), (half * 0.8, half))
    arch = ellipse(frame, (row + 26, 0), (15, 19))
    spinous = capsule(frame, (row + 32, 0), (row + 48, 0), 3.5)
    bone = smooth_union(arch, spinous, 5)
    for sign in (-1, 1):
        wing = capsule(frame, (row + 22, sign * 14), (row + 27, sign * 34), 4.5)
        bone = smooth_union(bone, wing, 4)
    paint(image, np.float32(BONE), fill(bone, 2))
    paint(image, np.float32(MARROW), fill(bone + 3, 2))
    paint(image, np.float32(BONE), fill(body, 2))
    marrow = np.float32(MARROW) + np.float32(28) * fractal_noise(rng, frame.size, 48, 2)
    paint(image, marrow, fill(body + 2.5, 2))
    canal = ellipse(frame, (row + 25, 0), (8.5, 10.5))
    paint(image, np.float32(25), fill(canal, 2))
