"""What a phantom knows about itself: findings, report, questions, masks. Exact by construction."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from overread.imaging.study import Mask, Spacing

Side = Literal["left", "right"]
Split = Literal["train", "validation", "test"]
ContentType = Literal[
    "presence", "side", "size", "count", "location", "modality", "organ", "view", "ratio", "compare"
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One abnormality that is truly in the image.

    Attributes:
        name: Standard term, also the key of its mask ("effusion", "nodule", "lesion").
        side: Patient side; None for midline, unpaired or not applicable.
        location: Words of the field ("upper zone", "basal", "superotemporal"); "" if none.
        size_mm: Long axis of the mask, in mm (of the largest one); None if size has no meaning.
        count: Number of separate objects.
        severity: "small", "moderate" or "large"; "" where it has no meaning.
    """

    name: str
    side: Side | None = None
    location: str = ""
    size_mm: float | None = None
    count: int = 1
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The sections of a radiology report."""

    technique: str
    comparison: str
    findings: str
    impression: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question whose answer is computed from the truth.

    Attributes:
        text: The question. answer: Short answer ("yes", "left", "23", "nodule").
        answer_type: "closed" (one of `options`), "number" (`answer` is a decimal), or "open".
        content_type: What it asks about.
        options: The allowed answers of a closed question.
        target: Structure or finding asked about (a mask key of the vocabulary), or "".
        quantity: For "size", "ratio" and "count": what to measure ("long_axis", "area", "count",
            "width_ratio", "height_ratio", "midline_shift"), or "".
        reference: Second structure of a ratio, or "".
        unit: "mm", "mm2" or "".
    """

    text: str
    answer: str
    answer_type: Literal["closed", "number", "open"]
    content_type: ContentType
    options: tuple[str, ...] = ()
    target: str = ""
    quantity: str = ""
    reference: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """One synthetic study of one image, with its exact truth.

    Attributes:
        domain: "chest-xray", "brain-mr", "chest-ct", "abdomen-ct", "fundus", "ultrasound" or
            "histology".
        patient_id: Pseudonymous, e.g. "ph-chest-xray-00012"; the split depends on it alone.
        study_id: e.g. "ph-chest-xray-00012-v0"; v1 is the follow-up of v0.
        modality: DICOM Modality. body_part, view: as in `overread.imaging.study.Image`.
        scanner: Name of the simulated device.
        pixels: float32 (rows, columns) in modality units (Hounsfield for CT, else 0..255), or
            uint8 (rows, columns, 3).
        window: Centre and width for display.
        spacing_mm: Between rows, then columns.
        masks: Structures and findings, by name, each (rows, columns) bool. Findings that are absent
            have no key; organs in the field of view always have one.
        findings: Empty for a normal study.
        prior_id: study_id of the earlier study of the same patient, if any.
    """

    domain: str
    patient_id: str
    study_id: str
    modality: str
    body_part: str
    view: str
    scanner: str
    pixels: NDArray[np.float32] | NDArray[np.uint8]
    window: tuple[float, float]
    spacing_mm: Spacing
    age: int
    sex: Literal["F", "M"]
    masks: dict[str, Mask]
    findings: tuple[Finding, ...]
    report: Report
    questions: tuple[Question, ...] = field(default=())
    prior_id: str | None = None
