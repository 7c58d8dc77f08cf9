"""Writes phantoms as the files a hospital would send: DICOM or PNG, and a manifest."""

import json
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundImageStorage,
)

from overread.imaging.errors import InputError
from overread.imaging.files import ORDINARY, open_whole, write_whole
from overread.imaging.phantoms.acquire import GREY_STEPS
from overread.imaging.phantoms.scanners import BY_NAME
from overread.imaging.phantoms.seeds import split_of, stream
from overread.imaging.phantoms.truth import Phantom

CT_INTERCEPT = -1024
_ROOT = "2.25"  # UIDs derived from a UUID-sized integer (PS3.5, B.2)
_CLASSES: dict[str, UID] = {
    "CR": ComputedRadiographyImageStorage,
    "MR": MRImageStorage,
    "CT": CTImageStorage,
    "US": UltrasoundImageStorage,
}


def labels_of(phantom: Phantom) -> list[str]:
    """Return the names of the findings, sorted; ["normal"] without any."""
    return sorted({finding.name for finding in phantom.findings}) or ["normal"]


def file_name(phantom: Phantom) -> str:
    """Return the name of the study's file: .dcm for CR, MR, CT and US, else .png."""
    return phantom.study_id + (".dcm" if phantom.modality in _CLASSES else ".png")


def write(phantom: Phantom, folder: Path) -> Path:
    """Write the study into a folder, which is made if needed, and return the file.

    Raises:
        InputError: The folder cannot be written.
    """
    folder = Path(folder)
    path = folder / file_name(phantom)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open_whole(path, mode=ORDINARY) as file:
            if phantom.modality in _CLASSES:
                to_dicom(phantom).save_as(file, enforce_file_format=True)
            else:
                pixels = np.asarray(phantom.pixels, dtype=np.uint8)
                Image.fromarray(pixels).save(file, format="PNG")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def manifest_line(phantom: Phantom, path: str | None = None) -> dict[str, Any]:
    """Return the study's line of the manifest; `path` is relative to the manifest."""
    report = phantom.report
    text = (
        f"TECHNIQUE: {report.technique} COMPARISON: {report.comparison} "
        f"FINDINGS: {report.findings} IMPRESSION: {report.impression}"
    )
    return {
        "path": path or file_name(phantom),
        "domain": phantom.domain,
        "modality": phantom.modality,
        "body_part": phantom.body_part,
        "view": phantom.view,
        "patient_id": phantom.patient_id,
        "study_id": phantom.study_id,
        "prior_id": phantom.prior_id,
        "labels": labels_of(phantom),
        "report": text,
        "age": phantom.age,
        "sex": phantom.sex,
        "spacing_mm": list(phantom.spacing_mm),
        "scanner": phantom.scanner,
        "split": split_of(phantom.patient_id),
        "source": "phantom",
        "licence": "CC0-1.0",
    }


def write_manifest(phantoms: Iterable[Phantom], folder: Path) -> Path:
    """Write every study and, last, `manifest.jsonl` with one line each; return the manifest."""
    folder = Path(folder)
    lines = []
    for phantom in phantoms:
        path = write(phantom, folder)
        lines.append(json.dumps(manifest_line(phantom, path.name), ensure_ascii=False))
    manifest = folder / "manifest.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(manifest, "".join(line + "\n" for line in lines), mode=ORDINARY)
    except OSError as error:
        raise InputError(f"cannot write {manifest}: {error.strerror or error}") from error
    return manifest


def _uid(*key: object) -> UID:
    low, high = (int(part) for part in stream("uid", *key).integers(1, 2**62, 2))
    return UID(f"{_ROOT}.{(high << 62) | low}")


def _study_date(phantom: Phantom) -> str:
    visit = int(phantom.study_id.rsplit("-v", 1)[1])
    first = int(stream("date", phantom.patient_id).integers(0, 7000))
    return (date(2001, 1, 1) + timedelta(days=first + 180 * visit)).strftime("%Y%m%d")


def to_dicom(phantom: Phantom) -> Dataset:
    """Return the study as a DICOM dataset; reading it back gives `pixels` exactly."""
    sop_class = _CLASSES[phantom.modality]
    instance = _uid("instance", phantom.study_id, phantom.pixels.shape)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = sop_class
    data.file_meta.MediaStorageSOPInstanceUID = instance
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = sop_class, instance
    data.StudyInstanceUID = _uid("study", phantom.study_id)
    data.SeriesInstanceUID = _uid("series", phantom.study_id)
    data.FrameOfReferenceUID = _uid("frame", phantom.study_id)
    data.PatientName, data.PatientID = "Phantom^Synthetic", phantom.patient_id
    data.PatientSex, data.PatientAge = phantom.sex, f"{phantom.age:03d}Y"
    data.PatientBirthDate = data.ReferringPhysicianName = data.AccessionNumber = ""
    data.StudyID, data.SeriesNumber, data.InstanceNumber = phantom.study_id[:16], 1, 1
    data.StudyDate = data.ContentDate = _study_date(phantom)
    data.StudyTime = data.ContentTime = "120000"
    data.Modality, data.Manufacturer = phantom.modality, "Overread phantoms"
    data.StationName = phantom.scanner[:16]
    data.StudyDescription = f"Synthetic {phantom.domain}"
    data.BodyPartExamined = phantom.body_part.upper()
    data.ImageComments = "SYNTHETIC"
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.WindowCenter, data.WindowWidth = (f"{value:g}" for value in phantom.window)
    _geometry(data, phantom)
    _pixels(data, phantom)
    return data


def _geometry(data: Dataset, phantom: Phantom) -> None:
    spacing = [f"{value:.6f}" for value in phantom.spacing_mm]
    data.PixelSpacing = spacing
    if phantom.modality == "CR":
        data.ImagerPixelSpacing = spacing
        data.ViewPosition = phantom.view
        data.PatientOrientation = ["L", "F"]
    elif phantom.modality in ("CT", "MR"):
        rows, columns = phantom.pixels.shape[:2]
        data.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        corner = (
            -(columns - 1) / 2 * phantom.spacing_mm[1],
            -(rows - 1) / 2 * phantom.spacing_mm[0],
        )
        data.ImagePositionPatient = [f"{corner[0]:.4f}", f"{corner[1]:.4f}", "0"]
        data.SliceThickness = "5"
    elif phantom.modality == "US":
        data.SequenceOfUltrasoundRegions = [_region(phantom)]
    if phantom.modality == "MR":
        data.ScanningSequence, data.SequenceVariant = "SE", "NONE"
        data.SeriesDescription = phantom.report.technique[:64]


def _region(phantom: Phantom) -> Dataset:
    """Return the whole picture as one calibrated 2-D tissue region (PS3.3, C.8.5.5)."""
    rows, columns = phantom.pixels.shape[:2]
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 1, rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # centimetres
    region.PhysicalDeltaY, region.PhysicalDeltaX = (mm / 10 for mm in phantom.spacing_mm)
    return region


def _pixels(data: Dataset, phantom: Phantom) -> None:
    values = np.asarray(phantom.pixels, dtype=np.float64)
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    if phantom.modality == "US":
        data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
        data.PixelData = np.rint(values).astype(np.uint8).tobytes()
        data["PixelData"].VR = "OB"
        return
    data.BitsAllocated = 16
    if phantom.modality == "CT":
        slope, intercept, bits = "1", str(CT_INTERCEPT), 12
        stored = np.rint(values - CT_INTERCEPT)
    else:
        slope, intercept, bits = f"{1 / GREY_STEPS:g}", "0", 12
        stored = np.rint(values * GREY_STEPS)
        if BY_NAME[phantom.scanner].inverted:
            data.PhotometricInterpretation = "MONOCHROME1"
            stored = 255 * GREY_STEPS - stored
    data.BitsStored, data.HighBit = bits, bits - 1
    data.RescaleSlope, data.RescaleIntercept = slope, intercept
    data.RescaleType = "HU" if phantom.modality == "CT" else "US"
    data.PixelData = stored.astype("<u2").tobytes()
    data["PixelData"].VR = "OW"
