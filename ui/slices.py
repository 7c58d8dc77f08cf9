"""Images for the viewer: raw values of bounded size, so that the browser applies the window.

And what the list of studies shows of them: kind, size, and a small picture.
"""

import io
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from skimage.transform import resize

from overread.imaging.archive import Archive, StudyRecord
from overread.imaging.errors import InputError
from overread.imaging.render import for_planner, window_of
from overread.imaging.study import UNSTATED, Image, ImageRef, Pixels
from overread.imaging.synthetic import HEADER

MAX_SIDE = 2048
"""Larger images are sent at a whole fraction of their resolution."""

THUMBNAIL_PX = 80
"""Twice what the list shows it at: screens of tablets have two pixels a point."""

PRESETS: dict[str, dict[str, tuple[float, float]]] = {
    "CT": {
        "soft tissue": (40, 400),
        "lung": (-600, 1500),
        "bone": (400, 1800),
        "brain": (40, 80),
        "liver": (60, 160),
        "mediastinum": (50, 350),
    },
}
"""Centre and width in Hounsfield units, by name, for modalities whose values have a unit.

Source: Hofer, CT Teaching Manual, 4th edition, and the presets common to DICOM viewers.
"""


@dataclass(frozen=True, slots=True)
class Plane:
    """What the viewer is told of an image beside its values.

    Attributes:
        ref: Of the image.
        rows, columns: As sent. full_rows, full_columns: Of the image itself.
        colour: Whether the values are RGB bytes; else little-endian uint16.
        slope, offset: value = stored * slope + offset, in modality units.
        low, high: Of the values. window: Centre and width to begin with.
        inverted: Low values are shown white.
        aspect: Height of a pixel over its width. spacing_mm: Rows, columns; of the full image.
        unit: Of the values ("HU"), or "".
    """

    ref: str
    rows: int
    columns: int
    full_rows: int
    full_columns: int
    colour: bool
    slope: float
    offset: float
    low: float
    high: float
    window: tuple[float, float]
    inverted: bool
    aspect: float
    spacing_mm: tuple[float, float] | None
    unit: str


def encode(image: Image) -> tuple[Plane, bytes]:
    """Return an image for the viewer: facts, and values row by row.

    Grey values are stored in 16 bits: exactly when they are whole numbers in a range below 65,536,
    else in 65,536 steps between the lowest and the highest.
    """
    pixels = _bounded(image.pixels)
    low, high = float(pixels.min()), float(pixels.max())
    slope, offset = 1.0, low
    if image.is_colour:
        data, window = np.ascontiguousarray(pixels, np.uint8).tobytes(), (127.5, 255.0)
    else:
        whole = high - low < 65536 and bool((pixels == np.rint(pixels)).all())
        if not whole:
            slope = max(high - low, 1e-9) / 65535
        data = np.rint((pixels - offset) / slope).astype("<u2").tobytes()
        window = window_of(image)
    spacing = image.spacing_mm
    plane = Plane(
        ref=str(image.ref),
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        full_rows=image.shape[0],
        full_columns=image.shape[1],
        colour=image.is_colour,
        slope=slope,
        offset=offset,
        low=low,
        high=high,
        window=window,
        inverted=image.inverted,
        aspect=spacing[0] / spacing[1] if spacing and 0.1 < spacing[0] / spacing[1] < 10 else 1.0,
        spacing_mm=spacing,
        unit="HU" if image.modality == "CT" else "",
    )
    return plane, data


def facts(plane: Plane) -> dict[str, Any]:
    """Return a plane as JSON."""
    return asdict(plane)


def thumbnail(image: Image) -> bytes:
    """Return an image as a small square JPEG: the whole image, black beside it."""
    step = max(1, max(image.shape) // (4 * THUMBNAIL_PX))  # a mammogram would take a quarter second
    coarse = replace(image, pixels=image.pixels[::step, ::step])
    buffer = io.BytesIO()
    for_planner(coarse, THUMBNAIL_PX).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


@lru_cache(maxsize=4096)
def size_of(archive: Archive, ref: ImageRef) -> tuple[int, int]:
    """Return rows and columns of an image.

    The archive would have to read its pixels each time the list is shown.

    Raises:
        InputError: The stored pixels are damaged.
    """
    return archive.load(ref).shape


def study_facts(
    archive: Archive, study_id: str, shown: Collection[str] | None = None
) -> dict[str, Any]:
    """Return a study for the list at the left: its series, each with the references of its images.

    Args:
        archive: Where it is.
        study_id: Its id.
        shown: References that may be shown; all if None.

    Raises:
        UnknownReference: No such study.
    """
    record = archive.study(study_id)
    series: dict[str, list[str]] = {}
    for ref in record.refs:
        if shown is None or str(ref) in shown:
            series.setdefault(ref.series, []).append(str(ref))
    return ({"title": "Synthetic image"} if HEADER in record.header else {}) | {
        "id": record.id,
        "kind": _kind(record),
        "modality": record.modality,
        "body_part": record.body_part,
        "description": record.description,
        "date": record.header.get("study_date"),
        "age": record.age,
        "sex": record.sex,
        "series": [
            {"id": name, "images": refs, "size": _size(archive, refs)}
            for name, refs in series.items()
        ],
    }


def _kind(record: StudyRecord) -> str:
    """Name a study by what is known of it; names of files are not, for they may name patients."""
    if record.modality != UNSTATED:
        return " ".join(filter(None, [record.modality, record.body_part]))
    if record.header.get("format") == "video":
        return "Clip"
    return (
        "Volume" if record.header.get("format") == "NIfTI" and len(record.refs) > 1 else "Picture"
    )


def _size(archive: Archive, refs: list[str]) -> tuple[int, int] | None:
    """Return rows and columns of the image in the middle; None if it is damaged."""
    try:
        return size_of(archive, ImageRef.parse(refs[len(refs) // 2]))
    except InputError:
        return None


def _bounded(pixels: Pixels) -> Pixels:
    factor = -(-max(pixels.shape[:2]) // MAX_SIDE)
    if factor == 1:
        return pixels
    shape = (-(-pixels.shape[0] // factor), -(-pixels.shape[1] // factor), *pixels.shape[2:])
    smaller = resize(pixels, shape, order=1, anti_aliasing=True, preserve_range=True)
    return smaller.astype(pixels.dtype)
