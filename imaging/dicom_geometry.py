"""Where the pixels of a DICOM image lie: spacing, plane, position. All in mm."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from overread.imaging.dicom_values import as_numbers, functional, items, numbers, value
from overread.imaging.study import Pixels, Plane, Spacing

Box = tuple[int, int, int, int]

_PLANES = ("sagittal", "coronal", "axial")
_CENTIMETRES = 3
_TISSUE_2D = 1
_CALIBRATED = (1e-6, 1e3)


def spacing(dataset: Dataset, frame: int = 0) -> Spacing | None:
    """Return the distance between rows, then columns, in mm; None when not calibrated.

    In this order: Pixel Spacing, Imager Pixel Spacing (at the detector, divided by the estimated
    magnification if stated), Nominal Scanned Pixel Spacing, ultrasound regions in centimetres.

    Source: DICOM PS3.3, 10.7.1.3 and C.8.5.5.
    """
    magnification = numbers(dataset, "EstimatedRadiographicMagnificationFactor")[:1]
    factor = magnification[0] if magnification and magnification[0] >= 1 else 1.0
    candidates = (
        as_numbers(functional(dataset, frame, "PixelMeasuresSequence", "PixelSpacing")),
        numbers(dataset, "PixelSpacing"),
        [v / factor for v in numbers(dataset, "ImagerPixelSpacing")],
        numbers(dataset, "NominalScannedPixelSpacing"),
        _ultrasound_spacing(dataset),
    )
    for values in candidates:
        if len(values) == 2 and all(_CALIBRATED[0] < v < _CALIBRATED[1] for v in values):
            return values[0], values[1]
    return None


def normal(dataset: Dataset, frame: int = 0) -> NDArray[np.float64] | None:
    """Return the unit vector (3,) across the slice, in patient coordinates (LPS), or None.

    Source: DICOM PS3.3, C.7.6.2.1.1.
    """
    orientation = _of_frame(
        dataset, frame, "PlaneOrientationSequence", "ImageOrientationPatient", count=6
    )
    if orientation is None:
        return None
    across = np.cross(orientation[:3], orientation[3:]).astype(np.float64)
    length = float(np.linalg.norm(across))
    return across / length if length > 0.5 else None


def position(dataset: Dataset, frame: int, direction: NDArray[np.float64] | None) -> float | None:
    """Return how far along `direction` a frame lies, in mm; None without geometry."""
    origin = _of_frame(dataset, frame, "PlanePositionSequence", "ImagePositionPatient", count=3)
    return None if direction is None or origin is None else float(np.dot(direction, origin))


def placed(dataset: Dataset, frame: int, frame_of_reference: str) -> Plane | None:
    """Return where a frame lies in the patient; None unless position and axes are sound.

    Args:
        dataset: Of one file.
        frame: From 0.
        frame_of_reference: Pseudonym of the frame of reference.
    """
    origin = _of_frame(dataset, frame, "PlanePositionSequence", "ImagePositionPatient", count=3)
    axes = _of_frame(dataset, frame, "PlaneOrientationSequence", "ImageOrientationPatient", count=6)
    if origin is None or axes is None or not np.isfinite([*origin, *axes]).all():
        return None
    row, column = np.array(axes[:3]), np.array(axes[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1.0, atol=1e-3) or abs(float(row @ column)) > 1e-3:
        return None
    return Plane(
        (origin[0], origin[1], origin[2]),
        (axes[0], axes[1], axes[2]),
        (axes[3], axes[4], axes[5]),
        frame_of_reference,
    )


def plane(direction: NDArray[np.float64] | None) -> str | None:
    """Return the anatomical plane that a slice with this normal is closest to.

    >>> plane(np.array([0.0, 0.1, 0.9]))
    'axial'
    """
    return None if direction is None else _PLANES[int(np.argmax(np.abs(direction)))]


def regions(dataset: Dataset) -> list[Box]:
    """Return the ultrasound regions as (left, top, right, bottom), both ends included.

    Regions that leave the image belong to another size of it: then none is returned.
    """
    corners = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    boxes: list[Box] = []
    for region in items(dataset, "SequenceOfUltrasoundRegions"):
        found = [numbers(region, f"RegionLocation{corner}")[:1] for corner in corners]
        if not all(found):
            return []
        left, top, right, bottom = (int(v[0]) for v in found)
        # Vendors count the far corner either way, so one pixel beyond the edge is accepted.
        if not (0 <= left < right <= dataset.Columns and 0 <= top < bottom <= dataset.Rows):
            return []
        boxes.append((left, top, right, bottom))
    return boxes


def blank_outside(pixels: Pixels, boxes: list[Box]) -> Pixels:
    """Return the pixels with everything outside all boxes set to the lowest value.

    Scanners burn the patient's name and the hospital into the margins of ultrasound pictures
    (DICOM PS3.15, E.3.1, Clean Pixel Data Option).
    """
    inside = np.zeros(pixels.shape[:2], bool)
    for left, top, right, bottom in boxes:
        inside[top : bottom + 1, left : right + 1] = True
    cleaned = pixels.copy()
    cleaned[~inside] = pixels.min() if pixels.ndim == 2 else 0
    return cleaned


def _of_frame(
    dataset: Dataset, frame: int, group: str, keyword: str, count: int
) -> list[float] | None:
    found: Any = functional(dataset, frame, group, keyword)
    values = as_numbers(value(dataset, keyword) if found is None else found)
    return values if len(values) == count else None


def _ultrasound_spacing(dataset: Dataset) -> list[float]:
    """Take the calibration of the 2-D regions where they agree; anything else is not simple."""
    if not regions(dataset):
        return []
    found = {
        tuple(abs(numbers(region, key)[0]) * 10 for key in ("PhysicalDeltaY", "PhysicalDeltaX"))
        for region in items(dataset, "SequenceOfUltrasoundRegions")
        if value(region, "RegionSpatialFormat") == _TISSUE_2D
        and value(region, "PhysicalUnitsXDirection") == _CENTIMETRES
        and value(region, "PhysicalUnitsYDirection") == _CENTIMETRES
        and numbers(region, "PhysicalDeltaX")
        and numbers(region, "PhysicalDeltaY")
    }
    return list(found.pop()) if len(found) == 1 else []
