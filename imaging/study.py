"""Study, series, image: the words every other folder uses."""

import re
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from overread.imaging.errors import UnknownReference

Pixels = NDArray[np.float32] | NDArray[np.uint8]
Mask = NDArray[np.bool_]
Spacing = tuple[float, float]

UNSTATED = "OT"
"""DICOM's modality for "other": what a picture without a header has."""

_PART = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class ImageRef:
    """`study_id/series/instance[/frame]`: what state, prompts and logs carry instead of pixels.

    >>> str(ImageRef.parse("st-1/s0/i3/12"))
    'st-1/s0/i3/12'
    """

    study_id: str
    series: str
    instance: str
    frame: int | None = None

    def __str__(self) -> str:
        """Return the slash-separated form."""
        parts = [self.study_id, self.series, self.instance]
        return "/".join(parts if self.frame is None else [*parts, str(self.frame)])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the slash-separated form.

        Raises:
            UnknownReference: The text is not `study_id/series/instance[/frame]`.
        """
        parts = text.split("/")
        if len(parts) not in (3, 4) or not all(_PART.fullmatch(p) and p.strip(".") for p in parts):
            raise UnknownReference(
                f"'{text}' is not an image reference; expected study_id/series/instance[/frame]"
            )
        if len(parts) == 4 and not parts[3].isdecimal():
            raise UnknownReference(f"'{text}' has a frame that is not a number: '{parts[3]}'")
        return cls(parts[0], parts[1], parts[2], int(parts[3]) if len(parts) == 4 else None)


@dataclass(frozen=True, slots=True)
class Plane:
    """Where a slice lies in the patient, in DICOM's coordinates (left, posterior, superior).

    Attributes:
        position: Centre of the first pixel, in mm.
        row, column: Unit vectors along which columns and rows count up.
        frame: Pseudonym of the frame of reference; planes of one frame are comparable.

    Source: DICOM PS3.3, C.7.6.2.1.1.
    """

    position: tuple[float, float, float]
    row: tuple[float, float, float]
    column: tuple[float, float, float]
    frame: str


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One 2-D image (a radiograph, a slice, a frame) with what is known of its geometry.

    Attributes:
        ref: Where it is.
        pixels: Grey: float32 (rows, columns) in modality units after the rescale slope and
            intercept (Hounsfield units for CT). Colour: uint8 (rows, columns, 3), RGB.
        modality: DICOM Modality (CR, DX, CT, MR, US, OP, SM, XC, ES, OT).
        spacing_mm: Between rows, then between columns, in mm; None when unknown.
        window: VOI centre and width in the units of `pixels`; None to use the pixel range.
        inverted: True when low values are to be shown white (MONOCHROME1).
        body_part: Lower-case words ("chest", "brain"); None when unknown.
        view: View position ("PA", "AP", "axial"); None when unknown.
        plane: Where a slice of a DICOM file lies; None when unknown.
    """

    ref: ImageRef
    pixels: Pixels
    modality: str = UNSTATED
    spacing_mm: Spacing | None = None
    window: tuple[float, float] | None = None
    inverted: bool = False
    body_part: str | None = None
    view: str | None = None
    plane: Plane | None = None

    @property
    def is_colour(self) -> bool:
        """Whether `pixels` has an RGB axis."""
        return self.pixels.ndim == 3

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Images of one acquisition in order of position (slices) or of time (frames).

    Attributes:
        id: Unique in the study; safe in a file name.
        modality: DICOM Modality.
        images: At least one.
        description: De-identified series description.
        slice_spacing_mm: Between neighbouring slices, in mm; None for one image or for frames.
        affine: Voxel to patient (RAS+) in mm, (4, 4), when the source has one (NIfTI).
    """

    id: str
    modality: str
    images: tuple[Image, ...]
    description: str = ""
    slice_spacing_mm: float | None = None
    affine: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """One patient's images at one time, already de-identified.

    Attributes:
        id: Stable pseudonym of the study; safe in a file name.
        patient_id: Stable pseudonym of the patient.
        series: At least one.
        description: De-identified study description.
        age: Years, if known. sex: "F", "M", "O" or None.
        header: De-identified facts for display (plain JSON).
    """

    id: str
    patient_id: str
    series: tuple[Series, ...]
    description: str = ""
    age: float | None = None
    sex: str | None = None
    header: dict[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> tuple[Image, ...]:
        """All images, series by series."""
        return tuple(image for series in self.series for image in series.images)
