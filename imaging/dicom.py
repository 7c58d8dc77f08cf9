"""Read one DICOM file: first what it is, pixels untouched; later its images."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydicom import Dataset

from overread.imaging import dicom_geometry, dicom_pixels, wording
from overread.imaging.deidentify import deidentify, identity, moved_date, patient_age, patient_sex
from overread.imaging.dicom_file import check_frames, dimensions, open_dataset
from overread.imaging.dicom_values import items, numbers, text
from overread.imaging.errors import UnreadableImage
from overread.imaging.limits import check_finite, check_size, reading
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import Image, ImageRef

_FACTS = (
    "KVP", "SliceThickness", "MagneticFieldStrength", "EchoTime", "RepetitionTime", "FlipAngle",
    "BitsStored",
)  # fmt: skip
"""Numbers that may be shown; none is in Table E.1-1."""

_TEXTS = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")


@dataclass(frozen=True, slots=True)
class Entry:
    """One DICOM file's place and facts, de-identified; its pixels are still in the file.

    Attributes:
        path: The user's file.
        study_id, patient_id, series_id: Pseudonyms.
        position: Along the slice normal, in mm; None without geometry.
        number: Instance Number, 0 if absent.
        facts: JSON for display.
    """

    path: Path
    study_id: str
    patient_id: str
    series_id: str
    modality: str
    body_part: str | None
    view: str | None
    study_description: str
    series_description: str
    age: float | None
    sex: str | None
    position: float | None
    number: int
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """An image and its place along the slice normal, in mm (None without geometry)."""

    image: Image
    position: float | None


def read_entry(path: Path, pseudonymiser: Pseudonymiser) -> Entry:
    """Read and check the header of a DICOM file, without its pixels.

    Raises:
        UnreadableImage: Not DICOM, damaged, not an image, or over a limit.
    """
    with reading(path, "DICOM"):
        dataset = open_dataset(path, stop_before_pixels=True)
        check_size(path, *dimensions(path, dataset))
        return _entry(path, dataset, pseudonymiser)


def load_images(entry: Entry, pseudonymiser: Pseudonymiser) -> list[Located]:
    """Decode the frames of an entry's file, in the order of the file.

    Raises:
        UnreadableImage: No pixel data, damaged, or in a compression we cannot decode.
    """
    path = entry.path
    with reading(path, "DICOM"):
        dataset = open_dataset(path)
        rows, columns, count = dimensions(path, dataset)
        check_size(path, rows, columns, count)
        data = check_frames(path, dataset, (rows, columns, count))
        # The content is part of the name: bad exports give two images one SOP Instance UID.
        digest = hashlib.sha256(data).hexdigest()
        instance = pseudonymiser.instance(f"{text(dataset, 'SOPInstanceUID')}\0{digest}")
        direction = dicom_geometry.normal(dataset)
        # Without a frame of reference of its own, a series is comparable with itself alone.
        frame_uid = text(dataset, "FrameOfReferenceUID") or text(dataset, "SeriesInstanceUID")
        reference = pseudonymiser.uid(frame_uid)
        boxes = dicom_geometry.regions(dataset) if entry.facts["margins_blanked"] else []
        found = []
        for frame, pixels in enumerate(dicom_pixels.frames(dataset)):
            check_finite(path, pixels)
            image = Image(
                ref=ImageRef(
                    entry.study_id, entry.series_id, instance, frame if count > 1 else None
                ),
                pixels=dicom_geometry.blank_outside(pixels, boxes) if boxes else pixels,
                modality=entry.modality,
                spacing_mm=dicom_geometry.spacing(dataset, frame),
                window=dicom_pixels.window(dataset, frame) if pixels.ndim == 2 else None,
                inverted=pixels.ndim == 2 and dicom_pixels.is_inverted(dataset),
                body_part=entry.body_part,
                view=entry.view,
                plane=dicom_geometry.placed(dataset, frame, reference),
            )
            found.append(Located(image, dicom_geometry.position(dataset, frame, direction)))
        if len(found) != count:
            raise UnreadableImage(
                f"{path} states {count} frames and holds {len(found)}; it is truncated."
            )
        return found


def _entry(path: Path, dataset: Dataset, pseudonymiser: Pseudonymiser) -> Entry:
    person = identity(dataset)
    study_uid, series_uid = text(dataset, "StudyInstanceUID"), text(dataset, "SeriesInstanceUID")
    fallback = f"{person}\0{series_uid}\0{text(dataset, 'SOPInstanceUID')}"
    direction = dicom_geometry.normal(dataset)
    across = "" if direction is None else ",".join(f"{v:.2f}" for v in direction + 0.0)
    series = f"{series_uid}\0{across}\0{dataset.Rows}x{dataset.Columns}"
    texts = [text(dataset, keyword) for keyword in _TEXTS]
    texts += [text(code, "CodeMeaning") for code in items(dataset, "AnatomicRegionSequence")[:1]]
    age, sex, number = (
        patient_age(dataset),
        patient_sex(dataset),
        numbers(dataset, "InstanceNumber"),
    )
    facts = _facts(dataset, timedelta(days=pseudonymiser.days(person)))
    view = wording.view(text(dataset, "ViewPosition")) or dicom_geometry.plane(direction)
    position = dicom_geometry.position(dataset, 0, direction)
    modality = wording.modality(text(dataset, "Modality"))
    deidentify(dataset, pseudonymiser)
    return Entry(
        path=path,
        study_id=pseudonymiser.study(study_uid or fallback),
        patient_id=pseudonymiser.patient(person),
        series_id=pseudonymiser.series(series),
        modality=modality,
        body_part=wording.body_part(*texts),
        view=view,
        study_description=text(dataset, "StudyDescription"),
        series_description=text(dataset, "SeriesDescription"),
        age=age,
        sex=sex,
        position=position,
        number=int(number[0]) if number else 0,
        facts=facts,
    )


def _facts(dataset: Dataset, shift: timedelta) -> dict[str, Any]:
    study_date = moved_date(text(dataset, "StudyDate"), shift)
    burned_in = text(dataset, "BurnedInAnnotation").upper()
    margins = text(dataset, "Modality") == "US" and burned_in != "NO"
    return {
        "study_date": study_date.isoformat() if study_date else None,
        "burned_in_annotation": burned_in if burned_in in ("YES", "NO") else "unknown",
        "margins_blanked": margins and bool(dicom_geometry.regions(dataset)),
        **{key: found[0] for key in _FACTS if (found := numbers(dataset, key))},
    }
