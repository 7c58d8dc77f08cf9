"""The volume of a structure over the slices of a series, each as thick as it is far from its neighbours."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from overread.imaging.archive import Archive, SeriesRecord
from overread.imaging.errors import InputError
from overread.imaging.plane import GAP, POSITION_TOLERANCE_MM, along_normal, steps
from overread.imaging.study import Image, ImageRef, Mask, Plane
from overread.tools import geometry
from overread.tools.follow import MAX_FRAMES, follow
from overread.tools.segmenter import Segmentation, Segmenter
from overread.tools.uncertainty import Measured, area_error, with_error

MAX_SLICES = MAX_FRAMES
_MM3_PER_ML = 1000.0


class UnevenSlices(InputError):
    """Where the structure lies a slice is missing, or several lie in one place."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume in ml.

    Attributes:
        slices: How many of the series show the structure. of: How many the series has. A slice that is
            there twice is one.
        sure: The least confidence among those slices.
    """

    measured: Measured
    slices: int
    of: int
    sure: float


@dataclass(frozen=True, slots=True)
class _Slice:
    """One slice.

    Attributes:
        number: In its series, from 1.
        area: What it shows, in mm2; None if nothing.
        sure: The confidence in that.
    """

    number: int
    plane: Plane | None
    area: Measured | None
    sure: float


def volume(archive: Archive, segmenter: Segmenter, ref: ImageRef, target: str) -> Volume:
    """Outline a structure in every slice of an image's series and add up area times thickness.

    A word that the segmenter does not know itself (`any_words`) is looked for in this image alone,
    and the outline is carried through the series.

    Raises:
        InputError: The series has one slice, no spacing, too many slices, or no such structure.
        UnevenSlices: See `added`.
    """
    if segmenter.any_words and target not in segmenter.targets:
        found = segmenter.segment(archive.load(ref), target)
        if not found.found:
            raise InputError(f"no {target} found in this image of the series")
        return followed_volume(archive, segmenter, ref, found.mask)
    series, step = _series(archive, ref)
    slices = (archive.load(other) for other in series.refs)
    outlined = ((image, segmenter.segment(image, target)) for image in slices)
    return added(outlined, step, target)


def followed_volume(archive: Archive, segmenter: Segmenter, ref: ImageRef, first: Mask) -> Volume:
    """Carry the outline of one image through its series and add up area times thickness.

    Raises:
        InputError, UnevenSlices: As `volume`, or the outline is empty or of another shape.
    """
    _, step = _series(archive, ref)
    return added(carry(archive, segmenter, ref, first), step, "outline")


def carry(
    archive: Archive, segmenter: Segmenter, ref: ImageRef, first: Mask
) -> list[tuple[Image, Segmentation]]:
    """Carry the outline of one image through its series: each image with its own outline, in order.

    Raises:
        InputError: The series has one image or too many, or the outline is empty or of another shape.
    """
    refs = archive.series(ref).refs
    if len(refs) < 2:
        raise InputError("this is a single image: there is nothing to carry the outline through")
    if len(refs) > MAX_FRAMES:  # said before they are all read
        raise InputError(f"the series has {len(refs)} images; at most {MAX_FRAMES} are followed")
    images = [archive.load(other) for other in refs]
    return list(zip(images, follow(segmenter, images, refs.index(ref), first), strict=True))


def _series(archive: Archive, ref: ImageRef) -> tuple[SeriesRecord, float]:
    series = archive.series(ref)
    step = series.slice_spacing_mm
    if len(series.refs) < 2 or step is None:
        raise InputError("a volume needs a series of slices whose spacing is known")
    if len(series.refs) > MAX_SLICES:
        raise InputError(
            f"the series has {len(series.refs)} slices; a volume is measured over {MAX_SLICES}"
        )
    return series, step


def added(outlined: Iterable[tuple[Image, Segmentation]], step: float, target: str) -> Volume:
    """Add up the areas of outlines, each times half the ways to the slices on both sides.

    The error adds to that of each area what the first and the last slice may cut off or add: the
    structure ends anywhere between two slices.

    Args:
        outlined: All images of a series, in order, with their outlines.
        step: Usual distance of the slices, in mm.
        target: What is outlined.

    Raises:
        InputError: It is in no image, or the pixel size of one is not known.
        UnevenSlices: Where it lies, two slices are farther apart than the others, or differ in one place.
    """
    slices = _once(outlined)
    shown = [place for place, one in enumerate(slices) if one.area is not None]
    if not shown:
        raise InputError(f"no {target} found in the {len(slices)} slices of this series")
    ways = steps(along_normal([one.plane for one in slices], step), step)
    first, end = shown[0], shown[-1] + 1
    for place in range(max(first, 1), min(end + 1, len(slices))):
        _require_even(slices[place - 1].number, slices[place].number, ways[place], step, target)
    thick = (ways[:-1] + ways[1:])[shown] / 2
    areas = [(one.area.value, one.area.error) for one in slices if one.area is not None]
    values, errors = np.array(areas).T
    cut = np.array([values[0] * ways[first], values[-1] * ways[end]]) / np.sqrt(12)
    error = float(np.linalg.norm(np.r_[cut, errors * thick]))
    total = Measured(float(values @ thick) / _MM3_PER_ML, error / _MM3_PER_ML)
    return Volume(total, len(shown), len(slices), min(slices[place].sure for place in shown))


def _once(outlined: Iterable[tuple[Image, Segmentation]]) -> list[_Slice]:
    """Measure each slice, one that is there twice a single time; hold no pixels but the last ones."""
    slices: list[_Slice] = []
    last: Image | None = None
    for number, (image, found) in enumerate(outlined, start=1):
        if last is not None and _same_place(last, image) and _same_picture(last, image):
            continue
        last = image
        area = _area(image, found) if found.found else None
        slices.append(_Slice(number, image.plane, area, found.confidence))
    return slices


def _area(image: Image, found: Segmentation) -> Measured:
    spacing = image.spacing_mm
    if spacing is None:
        raise InputError("a volume needs images whose pixel size is known")
    grid = area_error(found.mask, spacing)
    return with_error(found, lambda mask: geometry.area(mask, spacing), grid, "area")


def _same_place(one: Image, other: Image) -> bool:
    if one.plane is None or other.plane is None:
        return False
    return bool(np.ptp(along_normal([one.plane, other.plane], 0.0)) < POSITION_TOLERANCE_MM)


def _same_picture(one: Image, other: Image) -> bool:
    return one.spacing_mm == other.spacing_mm and np.array_equal(one.pixels, other.pixels)


def _require_even(before: int, number: int, way: float, step: float, target: str) -> None:
    if way > GAP * step:
        raise UnevenSlices(
            f"slices {before} and {number} of the series are {way:.3g} mm apart, the others "
            f"{step:.3g} mm, so the volume of {target} between them is not known"
        )
    if way < POSITION_TOLERANCE_MM:
        raise UnevenSlices(
            f"slices {before} and {number} of the series lie in one place and differ, as phases "
            f"and echoes do, so {target} would be counted twice"
        )
