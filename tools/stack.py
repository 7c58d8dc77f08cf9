"""The slices of a series as one stack: where in the patient each lies, and how they look, made smaller."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.imaging.archive import Archive, SeriesRecord
from overread.imaging.errors import InputError
from overread.imaging.loose import EIGHT_BIT_WINDOW
from overread.imaging.plane import POSITION_TOLERANCE_MM, normal
from overread.imaging.render import to_view, window_of
from overread.imaging.study import Image, ImageRef, Plane, Spacing
from overread.tools.volume import MAX_SLICES

_EDGE = 64
"""Longest edge of the slices as they are registered, in pixels: a few seconds for two long series."""

_FEWEST = 3
"""Levels from which slices are a stack: two have no middle."""

_TILT = 0.02
"""How far the normals of one stack may differ: the sine of about one degree."""

Point = tuple[float, float, float]
"""In the patient, in mm (left, posterior, superior)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The slices of a series, one a level, from the lowest level to the highest.

    Attributes:
        refs: Of the slices.
        numbers: Their places in the series, from 1.
        levels: How far each lies from the first along the normal, in mm.
        plane: Of the first.
        spacing: Between rows, then columns, in mm.
        grey: As they are seen, 0..255, (levels, rows, columns), made smaller by `shrink`.
    """

    refs: tuple[ImageRef, ...]
    numbers: tuple[int, ...]
    levels: NDArray[np.float64]
    plane: Plane
    spacing: Spacing
    grey: NDArray[np.float32]
    shrink: int

    @property
    def gap(self) -> float:
        """Usual distance of two slices, in mm."""
        return float(np.median(np.diff(self.levels)))

    def point(self, level: float, row: float, column: float) -> Point:
        """Return where in the patient a pixel of the slice at a level lies."""
        x, y, z = (
            np.array(self.plane.position)
            + level * normal(self.plane)
            + column * self.spacing[1] * np.array(self.plane.row)
            + row * self.spacing[0] * np.array(self.plane.column)
        )
        return float(x), float(y), float(z)

    def middle(self, level: float) -> Point:
        """Return the middle of the slice at a level."""
        rows, columns = (n * self.shrink for n in self.grey.shape[1:])
        return self.point(level, (rows - 1) / 2, (columns - 1) / 2)

    def level(self, point: Point) -> float:
        """Return the level at which a point of the patient lies, in mm."""
        return float((np.array(point) - np.array(self.plane.position)) @ normal(self.plane))

    def nearest(self, level: float) -> int:
        """Return the index of the slice nearest to a level."""
        return int(np.argmin(np.abs(self.levels - level)))

    def volume(self) -> Any:
        """Return the stack as a SimpleITK image of about cubic voxels, in the patient's space."""
        import SimpleITK as sitk

        down, across = (step * self.shrink for step in self.spacing)
        step = max(down, across)
        at = np.arange(0.0, self.levels[-1] + 1e-6, step)
        above = np.clip(np.searchsorted(self.levels, at), 1, len(self.levels) - 1)
        low, high = self.levels[above - 1], self.levels[above]
        share = ((at - low) / (high - low)).astype(np.float32)[:, None, None]
        volume = sitk.GetImageFromArray(
            self.grey[above - 1] * (1 - share) + self.grey[above] * share
        )
        volume.SetSpacing((across, down, step))
        axes = (self.plane.row, self.plane.column, tuple(normal(self.plane)))
        volume.SetDirection(np.array(axes).T.ravel().tolist())
        offset = (self.shrink - 1) / 2
        volume.SetOrigin(self.point(0.0, offset, offset))
        return volume


def stack_of(archive: Archive, ref: ImageRef) -> Stack | None:
    """Return the stack that an image is a slice of; None for a single image, or if geometry is unknown.

    Of several slices at one level (phases) the first counts; of a NIfTI file of several times, the
    time of the image.

    Raises:
        InputError: The series has too many slices.
    """
    series = archive.series(ref)
    numbers = at_one_time(archive, series, ref)
    if len(numbers) < _FEWEST:
        return None
    if len(numbers) > MAX_SLICES:
        raise InputError(f"the series has {len(numbers)} slices; at most {MAX_SLICES} are compared")
    first = archive.load(ref)
    planes: list[Plane] = []
    seen: list[NDArray[np.float32]] = []
    shrink = max(1, math.ceil(max(first.shape) / _EDGE))
    window = EIGHT_BIT_WINDOW if first.is_colour else window_of(first)
    for index, number in enumerate(numbers):
        image = archive.load(series.refs[number - 1])
        plane = plane_of(image, series, index)
        if plane is None or image.spacing_mm is None or not alike(image, first):
            return None
        planes.append(plane)
        small = replace(image, pixels=_smaller(image, shrink))  # before it is made visible: faster
        seen.append(to_view(small, window)[..., 0].astype(np.float32))
    return _stacked(series, numbers, planes, seen, first, shrink)


def plane_of(image: Image, series: SeriesRecord, index: int) -> Plane | None:
    """Return where a slice lies: what its file states, or what the affine of a NIfTI file tells.

    Source: NIfTI-1 (RAS+) and DICOM PS3.3, C.7.6.2.1.1 (LPS+): two axes point the other way.
    """
    if image.plane is not None or series.affine is None:
        return image.plane
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ series.affine
    row, column = (to_lps[:3, axis] / np.linalg.norm(to_lps[:3, axis]) for axis in (0, 1))
    position = (to_lps @ np.array([0.0, 0.0, index, 1.0]))[:3]
    one, two, three = ((float(x), float(y), float(z)) for x, y, z in (position, row, column))
    return Plane(one, two, three, f"{image.ref.study_id}/{image.ref.series}")


def at_one_time(archive: Archive, series: SeriesRecord, ref: ImageRef) -> range:
    """Return the numbers, from 1, of the images of the same time: all but for a fourth dimension."""
    shape = archive.study(ref.study_id).header.get("shape", ())
    each = max(1, len(series.refs) // max(1, math.prod(shape[3:])))
    start = series.refs.index(ref) // each * each
    return range(start + 1, start + each + 1)


def alike(image: Image, first: Image) -> bool:
    """Return whether two slices have the same pixels in number and size."""
    return image.shape == first.shape and image.spacing_mm == first.spacing_mm


def levels_of(planes: Sequence[Plane]) -> tuple[list[int], NDArray[np.float64]]:
    """Return which slices make a stack, from the lowest up, one a level; and their levels, from 0, in mm.

    Nothing is returned of planes that are not parallel: localisers.
    """
    across = normal(planes[0])
    if any(np.linalg.norm(np.cross(across, normal(plane))) > _TILT for plane in planes):
        return [], np.zeros(0)
    heights = np.array([np.array(plane.position) @ across for plane in planes])
    order = np.argsort(heights, kind="stable")
    kept = [int(order[0])]
    for place in order[1:]:
        if heights[place] - heights[kept[-1]] > POSITION_TOLERANCE_MM:
            kept.append(int(place))
    return kept, heights[kept] - heights[kept[0]]


def _stacked(
    series: SeriesRecord,
    numbers: range,
    planes: list[Plane],
    seen: list[NDArray[np.float32]],
    first: Image,
    shrink: int,
) -> Stack | None:
    kept, levels = levels_of(planes)
    if len(kept) < _FEWEST or first.spacing_mm is None:
        return None
    return Stack(
        refs=tuple(series.refs[numbers[place] - 1] for place in kept),
        numbers=tuple(numbers[place] for place in kept),
        levels=levels,
        plane=planes[kept[0]],
        spacing=first.spacing_mm,
        grey=np.stack([seen[place] for place in kept]),
        shrink=shrink,
    )


def _smaller(image: Image, factor: int) -> NDArray[np.float32]:
    """Return the means of blocks of pixels, grey; what is left over at the far edges is dropped."""
    grey = image.pixels.mean(axis=2) if image.is_colour else image.pixels
    rows, columns = (n // factor for n in image.shape)
    blocks = grey[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    return blocks.mean(axis=(1, 3), dtype=np.float32)
