"""The rib cage of the chest radiograph, its bones, and what lies on top of the patient."""

from dataclasses import dataclass

import numpy as np

from overread.imaging.phantoms.drawing import Frame, Grid, Stroke, fill, paint, strokes
from overread.imaging.phantoms.seeds import Case

_LETTERS: dict[str, tuple[tuple[float, float], ...]] = {
    "L": ((0, 0), (0, 1), (1, 1)),
    "R": ((0, 1), (0, 0), (0.9, 0), (1, 0.15), (1, 0.4), (0.9, 0.5), (0, 0.5), (1, 1)),
}


@dataclass(frozen=True, slots=True)
class Cage:
    """Sizes of a thorax in mm: half width, apex and base rows, dome height, heart width."""

    half: float
    top: float
    base: float
    dome: float
    heart: float


def cage_of(case: Case, enlarged: bool) -> Cage:
    """Return the patient's thorax; the heart's share of it leaves a gap about one half."""
    rng = case.anatomy("cage")
    half = rng.uniform(120, 142) - (8 if case.sex == "F" else 0)
    top = rng.uniform(-142, -122)
    base = top + rng.uniform(225, 260)
    dome = rng.uniform(28, 44)
    normal, large = rng.uniform(0.37, 0.45), rng.uniform(0.56, 0.66)
    return Cage(half, top, base, dome, 2 * half * (large if enlarged else normal))


def draw_bones(
    image: Grid, frame: Frame, cage: Cage, case: Case, wall: Grid, diaphragm: Grid
) -> None:
    """Draw ribs, clavicles, shoulder blades and arms; in place."""
    rng = case.anatomy("bones")
    x, y = np.abs(frame.x), frame.y
    u = np.clip(x / np.float32(cage.half), 0, 1.15)
    inside_cage = fill(wall - 5, 5.0) * (1 - np.float32(0.7) * fill(-diaphragm, 12.0))
    pitch = np.float32((cage.base - cage.top) / rng.uniform(8.6, 9.6))
    back = (y - np.float32(cage.top + 10) - np.float32(30) * u * u + 8 * u) / pitch
    back = np.abs(back - np.rint(back))
    ribs = fill((back - np.float32(0.2)) * pitch, 3.0)
    rims = fill(np.abs(back - np.float32(0.2)) * pitch - 1.0, 2.0)
    strength = np.float32(rng.uniform(0.055, 0.085))
    image += inside_cage * (strength * ribs + np.float32(0.025) * rims) * np.clip(u * 8 - 0.6, 0, 1)
    front = (y - np.float32(cage.top + 52) + np.float32(62) * (u - 0.3)) / pitch
    front = np.abs(front - np.rint(front))
    anterior = fill((front - np.float32(0.2)) * pitch, 4.0)
    image += inside_cage * np.float32(0.035) * anterior * np.clip((u - 0.4) * 5, 0, 1)
    lines: list[Stroke] = []
    px = 1 / frame.spacing_mm[1]
    rise = rng.uniform(18, 30)
    for sign in (-1, 1):
        knots = np.array([[34, 18], [24, 42], [20, 72], [14, 105], [30 - rise, 140]], dtype=float)
        path = np.stack([cage.top + knots[:, 0], sign * knots[:, 1]], axis=1)
        points = frame.to_pixels(path)
        lines.append((points, 11 * px, 0.4))
        lines.append((points, 6 * px, 0.27))
        scapula = np.array([[18, 150], [60, 118], [120, 106], [150, 112]], dtype=float)
        path = np.stack(
            [cage.top + scapula[:, 0], sign * (scapula[:, 1] + cage.half - 118)], axis=1
        )
        lines.append((frame.to_pixels(path), 4 * px, 0.16))
        head = np.array([[25, 168], [40, 176], [150, 190]], dtype=float)
        path = np.stack([cage.top + head[:, 0], sign * (head[:, 1] + cage.half - 120)], axis=1)
        lines.append((frame.to_pixels(path), 24 * px, 0.4))
    image += np.float32(0.32) * strokes(frame.size, lines, 1.0)


def draw_wires(image: Grid, frame: Frame, case: Case) -> None:
    """Lay monitoring leads and, sometimes, a central line over an AP film."""
    rng = case.moment("wires")
    n, px = frame.size, 1 / frame.spacing_mm[1]
    lines: list[Stroke] = []
    for _ in range(int(rng.integers(0, 4))):
        s = np.linspace(0, 1, 14)
        start, end = (
            rng.uniform(0.05, 0.95, 2),
            np.array([rng.uniform(0, 1), rng.choice((0.0, 1.0))]),
        )
        sag = rng.uniform(-0.2, 0.2)
        path = start + (end - start) * s[:, None] + sag * np.sin(np.pi * s)[:, None] * [1.0, 0.4]
        lines.append((path * n, 1.7 * px, 0.75))
        lines.append((start * n + np.array([[-0.006, 0.0], [0.006, 0.0]]) * n, 7 * px, 0.9))
    if rng.random() < 0.3:
        path = np.array([[-118, -60], [-100, -32], [-80, -16], [-50, -14], [-15, -13]], dtype=float)
        lines.append((frame.to_pixels(path), 2.2 * px, 0.5))
    image += np.float32(0.3) * strokes(n, lines, 0.4)


def draw_markers(image: Grid, frame: Frame, case: Case) -> None:
    """Burn an L or R marker beside the shoulder of that side."""
    rng = case.moment("marker")
    side = "L" if rng.random() < 0.7 else "R"
    n = frame.size
    row, column = n * rng.uniform(0.05, 0.12), n * (0.92 if side == "L" else 0.045)
    h, w = n * 0.05, n * 0.03
    path = np.array([(column + w * a, row + h * b) for a, b in _LETTERS[side]])
    paint(image, np.float32(0.97), strokes(n, [(path, max(1.5, n / 128), 1.0)]))
