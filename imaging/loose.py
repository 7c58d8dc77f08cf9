"""Studies from files that know no patient: named by their content, not by their path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.imaging.files import file_hash
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import Image, ImageRef, Pixels, Series, Spacing, Study

EIGHT_BIT_WINDOW = (128.0, 256.0)
"""Shows 0 as black and 255 as white, unchanged (DICOM PS3.3, C.11.2.1.2)."""


def content_identity(path: Path) -> str:
    """Return the SHA-256 of a file, to be fed to a `Pseudonymiser`."""
    return f"sha256:{file_hash(path)}"


def as_pixels(array: NDArray[Any]) -> Pixels:
    """Return float32 (rows, columns), or uint8 RGB if the channels differ anywhere.

    Radiographs are often saved as RGB with three equal channels: those are grey.
    """
    if array.ndim == 3:
        if not np.array_equal(array[..., 0], array[..., 1]) or not np.array_equal(
            array[..., 0], array[..., 2]
        ):
            return np.ascontiguousarray(array[..., :3], dtype=np.uint8)
        array = array[..., 0]
    return np.ascontiguousarray(array, dtype=np.float32)


def study(
    path: Path,
    pseudonymiser: Pseudonymiser,
    frames: Sequence[Pixels],
    header: dict[str, Any],
    *,
    frame_numbers: Sequence[int] | None = None,
    spacing_mm: Spacing | None = None,
    window: tuple[float, float] | None = None,
    view: str | None = None,
    slice_spacing_mm: float | None = None,
    affine: NDArray[np.float64] | None = None,
) -> Study:
    """Wrap the frames of one file as a study of one series.

    Args:
        path: Only its content is used, for the pseudonyms.
        frames: Pixels of each image.
        pseudonymiser: Names the patient and the study by the content.
        header: Facts for display.
        frame_numbers: Where in the file each frame was; 0, 1, ... by default.
        spacing_mm: Of every image, as in `Image`.
        window: Of every grey image, as in `Image`.
        view: Of every image, as in `Image`.
        slice_spacing_mm: As in `Series`.
        affine: As in `Series`.
    """
    identity = content_identity(path)
    study_id = pseudonymiser.study(identity)
    numbers: Sequence[int | None] = frame_numbers or range(len(frames))
    if len(frames) == 1 and frame_numbers is None:
        numbers = [None]
    images = tuple(
        Image(
            ref=ImageRef(study_id, "s0", "i0", number),
            pixels=pixels,
            spacing_mm=spacing_mm,
            window=window if pixels.ndim == 2 else None,
            view=view,
        )
        for number, pixels in zip(numbers, frames, strict=True)
    )
    series = Series(
        id="s0", modality="OT", images=images, slice_spacing_mm=slice_spacing_mm, affine=affine
    )
    return Study(
        id=study_id,
        patient_id=pseudonymiser.patient(identity),
        series=(series,),
        header={**header, "images": len(images), "patient_identity_removed": "YES"},
    )
