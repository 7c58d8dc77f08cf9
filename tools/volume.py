"""The volume of a structure over the slices of a series."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from overread.imaging.archive import Archive, SeriesRecord
from overread.imaging.errors import InputError
from overread.imaging.study import Image, ImageRef, Mask
from overread.tools import geometry
from overread.tools.follow import MAX_FRAMES, follow
from overread.tools.segmenter import Segmentation, Segmenter
from overread.tools.uncertainty import Measured, area_error, with_error

MAX_SLICES = 400
_MM3_PER_ML = 1000.0


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume in ml.

    Attributes:
        slices: How many of the series show the structure. of: How many the series has.
        sure: The least confidence among those slices.
    """

    measured: Measured
    slices: int
    of: int
    sure: float


def volume(archive: Archive, segmenter: Segmenter, ref: ImageRef, target: str) -> Volume:
    """Outline a structure in every slice of an image's series and add up area times spacing.

    A word that the segmenter does not know itself (`any_words`) is looked for in this image alone,
    and the outline is carried through the series.

    Raises:
        InputError: The series has one slice, no spacing, too many slices, or no such structure.
    """
    if segmenter.any_words and target not in segmenter.targets:
        found = segmenter.segment(archive.load(ref), target)
        if not found.found:
            raise InputError(f"no {target} found in this image of the series")
        return followed_volume(archive, segmenter, ref, found.mask)
    series, step = _series(archive, ref)
    slices = (archive.load(other) for other in series.refs)
    outlined = ((image, segmenter.segment(image, target)) for image in slices)
    return added(outlined, step, len(series.refs), target)


def followed_volume(archive: Archive, segmenter: Segmenter, ref: ImageRef, first: Mask) -> Volume:
    """Carry the outline of one image through its series and add up area times spacing.

    Raises:
        InputError: As `volume`, or the outline is empty or of another shape.
    """
    _, step = _series(archive, ref)
    carried = carry(archive, segmenter, ref, first)
    return added(carried, step, len(carried), "outline")


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


def added(
    outlined: Iterable[tuple[Image, Segmentation]], step: float, of: int, target: str
) -> Volume:
    """Add up the areas of outlines, times the distance of their slices.

    The error adds to that of each area what the first and the last slice may cut off or add: the
    structure ends anywhere between two slices.

    Args:
        outlined: Images of a series with their outlines.
        step: Distance of the slices, in mm.
        of: How many slices the series has.
        target: What is outlined.

    Raises:
        InputError: It is in no image, or the pixel size of one is not known.
    """
    areas: list[Measured] = []
    sure = 1.0
    for image, found in outlined:
        if not found.found:
            continue
        spacing = image.spacing_mm
        if spacing is None:
            raise InputError("a volume needs images whose pixel size is known")
        grid = area_error(found.mask, spacing)
        areas.append(with_error(found, lambda mask, s=spacing: geometry.area(mask, s), grid))  # type: ignore[misc]
        sure = min(sure, found.confidence)
    if not areas:
        raise InputError(f"no {target} found in the {of} slices of this series")
    ends = math.hypot(areas[0].value, areas[-1].value) / math.sqrt(12)
    error = math.hypot(ends, *(area.error for area in areas)) * step / _MM3_PER_ML
    total = sum(area.value for area in areas) * step / _MM3_PER_ML
    return Volume(Measured(total, error), len(areas), of, sure)
