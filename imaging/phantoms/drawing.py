"""Shapes and textures on a deformed millimetre grid. Knows geometry, not anatomy.

A structure is a signed distance (mm, negative inside) evaluated on one `Frame`, whose grid already
holds the pose and the smooth deformation: what is drawn and its mask come from the same numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from overread.imaging.study import Mask, Spacing

Grid = NDArray[np.float32]
Stroke = tuple[NDArray[Any], float, float]
_LARGEST = 1.6  # radius of a blob's longest lobe over its mean radius


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Millimetre coordinates of every pixel in the patient's own, undeformed frame.

    Attributes:
        size: Rows and columns.
        spacing_mm: Between rows, then columns.
        y: Downwards (rows, columns); 0 in the middle. x: To the right of the picture.
        angle: Rotation of the patient in the picture, radians.
        shift_mm: Displacement of the patient in the picture, y then x.
    """

    size: int
    spacing_mm: Spacing
    y: Grid
    x: Grid
    angle: float
    shift_mm: tuple[float, float]

    def to_pixels(self, points_mm: NDArray[Any]) -> NDArray[np.float64]:
        """Map patient points (n, 2) of y, x in mm to picture columns, rows (deformation ignored)."""
        y, x = points_mm[:, 0], points_mm[:, 1]
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        rows = (cos * y + sin * x + self.shift_mm[0]) / self.spacing_mm[0] + (self.size - 1) / 2
        columns = (cos * x - sin * y + self.shift_mm[1]) / self.spacing_mm[1] + (self.size - 1) / 2
        return np.stack([columns, rows], axis=1)


def make_frame(
    size: int,
    spacing_mm: Spacing,
    anatomy: np.random.Generator,
    moment: np.random.Generator,
    warp_mm: float,
    move_mm: float,
    turn_degrees: float,
) -> Frame:
    """Build the grid of a study: `anatomy` seeds the deformation, `moment` the positioning."""
    angle = float(np.radians(moment.uniform(-turn_degrees, turn_degrees)))
    shift = (float(moment.uniform(-move_mm, move_mm)), float(moment.uniform(-move_mm, move_mm)))
    line = np.arange(size, dtype=np.float32) - (size - 1) / 2
    rows = (line * spacing_mm[0] - shift[0]).astype(np.float32)[:, None]
    columns = (line * spacing_mm[1] - shift[1]).astype(np.float32)[None, :]
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    y = cos * rows - sin * columns
    x = cos * columns + sin * rows
    y += warp_mm * smooth_noise(anatomy, size, 4)
    x += warp_mm * smooth_noise(anatomy, size, 4)
    return Frame(size, spacing_mm, y, x, angle, shift)


def resize(grid: NDArray[Any], size: int) -> Grid:
    """Resample a picture to (size, size), bicubic."""
    picture = Image.fromarray(np.ascontiguousarray(grid, dtype=np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Grid:
    """Return noise of about unit variance whose bumps are about size / cells pixels wide."""
    cells = min(cells, size)
    noise = rng.standard_normal((cells + 2, cells + 2), dtype=np.float32)
    margin = max(1, round(size / cells))
    return resize(noise, size + 2 * margin)[margin:-margin, margin:-margin] * np.float32(1.25)


def fractal_noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 3) -> Grid:
    """Return the sum of smooth noises of doubling frequency and halving strength."""
    total = smooth_noise(rng, size, cells)
    for octave in range(1, octaves):
        total = total + smooth_noise(rng, size, cells << octave) * np.float32(0.5**octave)
    return total * np.float32(0.87)


def ellipse(
    frame: Frame,
    centre: tuple[float, float],
    radii: tuple[float, float],
    degrees: float = 0.0,
) -> Grid:
    """Return the signed distance to an ellipse; centre and radii are y, x in mm."""
    y, x = frame.y - np.float32(centre[0]), frame.x - np.float32(centre[1])
    if degrees:
        cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
        y, x = cos * y - sin * x, cos * x + sin * y
    level = np.sqrt((y / np.float32(radii[0])) ** 2 + (x / np.float32(radii[1])) ** 2)
    return cast(Grid, (level - 1) * np.float32(min(radii)))


def blob(
    frame: Frame,
    centre: tuple[float, float],
    radius: float,
    rng: np.random.Generator,
    roughness: float = 0.15,
    waves: int = 5,
    stretch: float = 1.0,
    margin: float = 0.0,
) -> Grid:
    """Return the signed distance to a rounded shape whose radius varies with the angle.

    Farther than `margin` mm (at least six pixels) outside the shape, the distance to its mean
    circle stands in.
    """
    turn = np.exp(1j * rng.uniform(0, 2 * np.pi))
    waved = []
    for wave in range(2, waves + 1):
        weight = roughness * rng.normal() / np.sqrt(wave - 1)
        waved.append(np.complex64(weight * np.exp(1j * rng.uniform(0, 2 * np.pi))))
    dy, dx = frame.y - np.float32(centre[0]), frame.x - np.float32(centre[1])
    distance: Grid = np.hypot(dy, dx) - np.float32(radius)
    reach = max(1.0, stretch, 1 / stretch) * _LARGEST * radius - radius
    near = distance < reach + max(margin, 6 * max(frame.spacing_mm))
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if rows.size == 0:
        return distance
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    z = ((dx[window] + 1j * dy[window]) * np.complex64(turn)).astype(np.complex64)
    z.imag *= np.float32(stretch)
    rho = np.abs(z)
    unit = z / np.maximum(rho, np.float32(1e-3))
    power, edge = unit.copy(), np.ones_like(rho)
    for factor in waved:
        power *= unit
        edge += (power * factor).real
    distance[window] = rho - np.float32(radius) * np.clip(edge, np.float32(0.45), _LARGEST)
    return distance


def capsule(frame: Frame, start: tuple[float, float], end: tuple[float, float], r: float) -> Grid:
    """Return the signed distance to a thick line between two points (y, x in mm)."""
    dy, dx = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    y, x = frame.y - np.float32(start[0]), frame.x - np.float32(start[1])
    along = np.clip((y * dy + x * dx) / (dy * dy + dx * dx), 0, 1)
    return cast(Grid, np.hypot(y - along * dy, x - along * dx) - np.float32(r))


def fill(distance: Grid, edge_mm: float) -> Grid:
    """Return coverage 0..1 of a shape whose border is `edge_mm` wide; 0.5 on the mask's border."""
    return np.clip(np.float32(0.5) - distance / np.float32(edge_mm), 0, 1)


def paint(image: Grid, value: float | np.float32 | Grid, coverage: Grid) -> None:
    """Blend a value into an image where coverage is; in place."""
    image += (value - image) * coverage


def strokes(size: int, lines: Iterable[Stroke], blur_px: float = 0.0) -> Grid:
    """Draw polylines: points (n, 2) of column, row; width in pixels; strength 0..1. Anti-aliased."""
    scale = 2
    picture = Image.new("L", (size * scale, size * scale))
    pen = ImageDraw.Draw(picture)
    for points, width, strength in lines:
        path = [(float(c) * scale + 0.5, float(r) * scale + 0.5) for c, r in points]
        pen.line(path, fill=int(255 * strength), width=max(1, round(width * scale)), joint="curve")
    drawn = np.asarray(picture.reduce(scale), dtype=np.float32) / np.float32(255)
    return blur(drawn, blur_px) if blur_px else drawn


def blur(image: Grid, sigma_px: float | tuple[float, float]) -> Grid:
    """Blur (rows, columns) with a small Gaussian."""
    return cast(Grid, gaussian_filter(image, sigma_px, truncate=3.0, mode="nearest"))


def inside(*distances: Grid) -> Mask:
    """Return where every distance is negative."""
    return cast(Mask, np.logical_and.reduce([distance < 0 for distance in distances]))


def smooth_union(first: Grid, second: Grid, k_mm: float) -> Grid:
    """Return the distance to two shapes grown together over `k_mm`."""
    h = np.clip(np.float32(0.5) + (second - first) / np.float32(2 * k_mm), 0, 1)
    return cast(Grid, second + (first - second) * h - np.float32(k_mm) * h * (1 - h))


def pick_point(frame: Frame, allowed: Mask, rng: np.random.Generator) -> tuple[float, float] | None:
    """Return a random patient point (y, x in mm) of an area, or None if it has no room.

    Tries points of the patient's frame in turn, so that a follow-up finds nearly the same one.
    """
    reach = frame.size * max(frame.spacing_mm) / 2
    columns, rows = np.rint(frame.to_pixels(rng.uniform(-reach, reach, (1500, 2)))).astype(int).T
    on = (rows >= 0) & (rows < frame.size) & (columns >= 0) & (columns < frame.size)
    rows, columns = rows[on], columns[on]
    hits = np.flatnonzero(allowed[rows, columns])
    if hits.size == 0:
        return None
    spot = rows[hits[0]], columns[hits[0]]
    return float(frame.y[spot]), float(frame.x[spot])
