"""De-identified images of the archive as DICOM: what a segmentation or a report refers to.

The archive keeps no DICOM files, so images are written anew: CT and MR slices whose place in the
patient is known as such, anything else (radiographs, ultrasound, PNG, JPEG, video frames, slices
without a position) as Secondary Capture. They carry pseudonyms and UIDs of their own, derived from
the image references, so that a study exported twice is the same study.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from overread import __version__
from overread.imaging.archive import Archive, SeriesRecord
from overread.imaging.study import Image, ImageRef, Plane
from overread.imaging.synthetic import HEADER, WORDS
from overread.tools.reporting.dicom_text import person_name
from overread.tools.reporting.model import SYNTHETIC, StructuredReport

MANUFACTURER = "Overread"
_SECONDARY = SecondaryCaptureImageStorage
_CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage}
_SHEAR = 1e-3


def uid(*key: object) -> UID:
    """Return a UID for a key: the same for the same key, another for any other.

    Source: DICOM PS3.5, B.2 (UIDs below 2.25 hold an integer of 128 bits).
    """
    digest = hashlib.sha256("\0".join(str(part) for part in key).encode()).hexdigest()
    return UID(f"2.25.{int(digest[:32], 16)}")


def described(report: StructuredReport, what: str) -> str:
    """Return what an object is, for its lists: DRAFT until signed, SYNTHETIC if made up."""
    marks = ["DRAFT"] * (not report.is_signed) + ["SYNTHETIC"] * report.synthetic
    return " - ".join([*marks, what])


@dataclass(frozen=True, slots=True, eq=False)
class SourceImage:
    """An image of the archive with the DICOM object that stands for it."""

    ref: ImageRef
    dataset: Dataset


def source_image(archive: Archive, ref: ImageRef) -> SourceImage:
    """Return an image as a DICOM object with its pixels.

    Whole numbers in a range of 16 bits, as scanners give them, are kept exactly; others are scaled
    to 16 bits. The plane is the original's, or follows from a NIfTI file's affine; there is none
    where the size of pixels is not known.

    Raises:
        UnknownReference: The image is not in the archive.
    """
    image, study, series = archive.load(ref), archive.study(ref.study_id), archive.series(ref)
    number = series.refs.index(ref) + 1
    plane = image.plane or _from_affine(series, number - 1, ref)
    if image.spacing_mm is None:
        plane = None
    # The objects of scanners must have a plane.
    sop_class = _SECONDARY if plane is None else _CLASSES.get(image.modality, _SECONDARY)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = uid("instance", ref, sop_class)
    data.file_meta.MediaStorageSOPClassUID = sop_class
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.StudyInstanceUID = uid("study", ref.study_id)
    data.SeriesInstanceUID = uid("series", ref.study_id, ref.series)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientID, data.PatientName = study.patient_id, person_name(study.patient_id)
    data.PatientBirthDate = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.PatientSex = study.sex or ""
    if study.age is not None:
        data.PatientAge = f"{int(study.age):03d}Y"
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "Overread: pixels, geometry and pseudonyms alone are kept"
    data.StudyID = study.id[-12:]
    data.StudyDate = str(study.header.get("study_date") or "").replace("-", "")
    data.StudyTime = data.SeriesDate = data.SeriesTime = ""
    data.SeriesNumber, data.InstanceNumber = 1, number
    data.Modality = image.modality
    part = re.sub(r"[^A-Z0-9_]+", " ", (image.body_part or "").upper())[:16].strip()
    if part:
        data.BodyPartExamined = part
    else:
        data.Laterality = ""  # needed where the body part may be one of a pair (PS3.3, C.7.3.1)
    data.Manufacturer, data.ManufacturerModelName = MANUFACTURER, "Overread"
    data.SoftwareVersions = __version__
    data.PositionReferenceIndicator = ""
    data.ImageType = ["DERIVED", "SECONDARY"]
    if sop_class is CTImageStorage:
        data.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        data.KVP = data.AcquisitionNumber = None
    elif sop_class is MRImageStorage:
        data.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
        data.ScanningSequence, data.SequenceVariant = "RM", "NONE"
        data.ScanOptions = data.MRAcquisitionType = ""
        data.EchoTime = data.RepetitionTime = data.EchoTrainLength = None
    else:
        data.ConversionType = "WSD"
    if sop_class in _CLASSES.values():
        data.PatientPosition = ""
    told = study.header.get("series", ())
    facts: dict[str, Any] = next((item for item in told if item["id"] == ref.series), {})
    if (burned_in := facts.get("burned_in_annotation")) in ("YES", "NO"):
        data.BurnedInAnnotation = burned_in
    if HEADER in study.header:
        data.SyntheticData, data.SeriesDescription = "YES", WORDS
        data.ImageComments = SYNTHETIC
    thickness = facts.get("SliceThickness") or series.slice_spacing_mm
    _geometry(data, image, plane, thickness)
    _pixels(data, image)
    return SourceImage(ref, data)


def _geometry(data: Dataset, image: Image, plane: Plane | None, thickness: float | None) -> None:
    if image.spacing_mm is not None:
        data.PixelSpacing = [_decimal(value) for value in image.spacing_mm]
    if plane is None:
        # A frontal radiograph is shown as if the patient faced the viewer (`tools.sides`).
        frontal = image.view in ("PA", "AP")
        data.PatientOrientation = ["L", "F"] if frontal else ""
        return
    data.FrameOfReferenceUID = plane.frame
    data.ImagePositionPatient = [_decimal(value) for value in plane.position]
    data.ImageOrientationPatient = [_decimal(value) for value in (*plane.row, *plane.column)]
    data.SliceThickness = None if thickness is None else _decimal(thickness)


def _from_affine(series: SeriesRecord, index: int, ref: ImageRef) -> Plane | None:
    """Return where slice `index` of a NIfTI volume lies; None for a sheared one.

    Source: NIfTI-1 (RAS+) and DICOM PS3.3, C.7.6.2.1.1 (LPS+): two axes point the other way.
    """
    if series.affine is None:
        return None
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ series.affine
    row, column = (to_lps[:3, axis] / np.linalg.norm(to_lps[:3, axis]) for axis in (0, 1))
    if abs(float(row @ column)) > _SHEAR:
        return None
    corner = to_lps @ np.array([0.0, 0.0, index, 1.0])
    frame = uid("frame", ref.study_id, ref.series)
    return Plane(_triple(corner), _triple(row), _triple(column), frame)


def _pixels(data: Dataset, image: Image) -> None:
    data.Rows, data.Columns = image.shape
    data.PixelRepresentation = 0
    if image.is_colour:
        data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
        data.PlanarConfiguration = 0
        data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
        _store(data, image.pixels.astype(np.uint8), "OB")
        return
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME1" if image.inverted else "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    values = image.pixels.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    whole = high - min(low, 0.0) <= 65535 and bool((values == np.rint(values)).all())
    slope = 1.0 if whole else float(_decimal(max((high - low) / 65535, 1e-9)))
    intercept = min(low, 0.0) if whole else float(_decimal(low))
    stored = np.clip(np.rint((values - intercept) / slope), 0, 65535)
    data.RescaleSlope, data.RescaleIntercept = _decimal(slope), _decimal(intercept)
    data.RescaleType = "HU" if image.modality == "CT" else "US"
    if image.window is not None:
        data.WindowCenter, data.WindowWidth = (_decimal(value) for value in image.window)
    _store(data, stored.astype("<u2"), "OW")


def _store(data: Dataset, array: NDArray[Any], vr: str) -> None:
    raw = array.tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = vr


def _decimal(value: float) -> str:
    """Return a number as a DICOM decimal string: at most 16 characters (PS3.5, 6.2)."""
    for digits in range(12, 5, -1):
        if len(text := f"{value:.{digits}g}") <= 16:
            return text
    return f"{value:.6g}"


def _triple(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])
