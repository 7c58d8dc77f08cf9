"""The volume of a structure over the slices of a series."""

import math
from dataclasses import dataclass

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.study import ImageRef
from overread.tools import geometry
from overread.tools.segmenter import Segmenter
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

    The error adds to that of each area what the first and the last slice may cut off or add: the
    structure ends anywhere between two slices.

    Raises:
        InputError: The series has one slice, no spacing, too many slices, or no such structure.
    """
    series = archive.series(ref)
    step = series.slice_spacing_mm
    if len(series.refs) < 2 or step is None:
        raise InputError("a volume needs a series of slices whose spacing is known")
    if len(series.refs) > MAX_SLICES:
        raise InputError(
            f"the series has {len(series.refs)} slices; a volume is measured over {MAX_SLICES}"
        )
    areas: list[Measured] = []
    sure = 1.0
    for other in series.refs:
        image = archive.load(other)
        found = segmenter.segment(image, target)
        if not found.found:
            continue
        spacing = image.spacing_mm
        if spacing is None:
            raise InputError("a volume needs images whose pixel size is known")
        grid = area_error(found.mask, spacing)
        areas.append(with_error(found, lambda mask, s=spacing: geometry.area(mask, s), grid))  # type: ignore[misc]
        sure = min(sure, found.confidence)
    if not areas:
        raise InputError(f"no {target} found in the {len(series.refs)} slices of this series")
    ends = math.hypot(areas[0].value, areas[-1].value) / math.sqrt(12)
    error = math.hypot(ends, *(area.error for area in areas)) * step / _MM3_PER_ML
    total = sum(area.value for area in areas) * step / _MM3_PER_ML
    return Volume(Measured(total, error), len(areas), len(series.refs), sure)
