"""The slices of a series as one grid of voxels with its place in the patient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.plane import GAP
from overread.imaging.study import ImageRef, Plane, Spacing
from overread.tools.stack import alike, at_one_time, levels_of, plane_of
from overread.tools.volume import MAX_SLICES


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Slices one above the other.

    Attributes:
        refs: Of the slices, in their order here.
        voxels: float32, (columns, rows, slices), in the units of the images (Hounsfield units of CT).
        affine: float64, (4, 4): indices to mm in the patient (right, anterior, superior), as NIfTI has it.
    """

    refs: tuple[ImageRef, ...]
    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]


def grid_of(archive: Archive, ref: ImageRef) -> Grid:
    """Return the grid that an image is a slice of; of several slices at one level the first counts.

    Raises:
        InputError: The image is none of a series of evenly spaced grey slices whose places are known, or
            there are too many.
    """
    series = archive.series(ref)
    numbers = at_one_time(archive, series, ref)
    if len(numbers) > MAX_SLICES:
        raise InputError(f"the series has {len(numbers)} slices; at most {MAX_SLICES} are taken")
    images = [archive.load(series.refs[number - 1]) for number in numbers]
    first = images[0]
    planes = [plane_of(image, series, index) for index, image in enumerate(images)]
    known = [plane for plane in planes if plane is not None]
    if first.is_colour or first.spacing_mm is None or len(known) < len(images):
        raise InputError("a volume needs a series of grey slices whose places are known")
    if not all(alike(image, first) for image in images):
        raise InputError("the slices of the series differ in size, so they are no volume")
    kept, levels = levels_of(known)
    gaps = np.diff(levels)
    if len(kept) < 2:
        raise InputError("a volume needs two slices at least, in parallel planes")
    step = float(np.median(gaps))
    if gaps.max() > GAP * step:
        raise InputError(
            f"slices of the series are up to {gaps.max():.3g} mm apart, most of them {step:.3g} mm: "
            "some are missing"
        )
    refs = tuple(images[place].ref for place in kept)
    if ref not in refs:
        raise InputError(
            "another slice of the series lies where this one does, as phases and echoes do; only the "
            "first there is part of the volume"
        )
    voxels = np.stack([images[place].pixels.T for place in kept], axis=-1)
    affine = _affine(known[kept[0]], known[kept[-1]], len(kept), first.spacing_mm)
    return Grid(refs, voxels.astype(np.float32), affine)


def _affine(plane: Plane, last: Plane, slices: int, spacing: Spacing) -> NDArray[np.float64]:
    """Return the affine of a grid by its first and last slice; a tilted gantry shears it.

    Source: DICOM PS3.3, C.7.6.2.1.1 (LPS+); NIfTI-1 (RAS+): two axes point the other way.
    """
    affine = np.eye(4)
    affine[:3, 0] = np.array(plane.row) * spacing[1]
    affine[:3, 1] = np.array(plane.column) * spacing[0]
    affine[:3, 2] = (np.array(last.position) - np.array(plane.position)) / (slices - 1)
    affine[:3, 3] = plane.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
