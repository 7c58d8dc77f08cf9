import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from overread.imaging.errors import InputError
from overread.imaging.phantoms import (
    DOMAINS,
    generate,
    labels_of,
    split_of,
    write,
    write_manifest,
)

DICOM = [domain for domain in DOMAINS if domain not in ("fundus", "histology")]


@pytest.mark.parametrize("domain", DICOM)
def test_a_dicom_file_holds_the_pixels_exactly(domain: str, tmp_path: Path) -> None:
    phantom = generate(domain, 6, size=96)
    data = pydicom.dcmread(write(phantom, tmp_path))
    slope, intercept = data.get("RescaleSlope", 1), data.get("RescaleIntercept", 0)
    values = data.pixel_array.astype(np.float64) * float(slope) + float(intercept)
    if data.PhotometricInterpretation == "MONOCHROME1":
        values = 255 - values
    np.testing.assert_array_equal(values, phantom.pixels)
    assert data.Modality == phantom.modality
    assert tuple(float(v) for v in data.PixelSpacing) == phantom.spacing_mm
    assert (float(data.WindowCenter), float(data.WindowWidth)) == phantom.window
    assert data.PatientID == phantom.patient_id and data.ImageComments == "SYNTHETIC"
    assert data.BodyPartExamined == phantom.body_part.upper()
    assert pydicom.uid.UID(data.SOPInstanceUID).is_valid
    assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID


def test_ct_is_stored_in_hounsfield_units(tmp_path: Path) -> None:
    phantom = generate("chest-ct", 6, size=96)
    data = pydicom.dcmread(write(phantom, tmp_path))
    assert (data.RescaleIntercept, data.RescaleSlope, data.RescaleType) == (-1024, 1, "HU")
    air = data.pixel_array[~phantom.masks["body"]] - 1024.0
    assert -1024 <= np.median(air) < -850


def test_one_radiograph_scanner_stores_monochrome1(tmp_path: Path) -> None:
    found = {}
    for patient in range(12):
        phantom = generate("chest-xray", patient, size=64)
        data = pydicom.dcmread(write(phantom, tmp_path))
        found[phantom.scanner] = data.PhotometricInterpretation
        assert data.ViewPosition == phantom.view and data.ImagerPixelSpacing == data.PixelSpacing
    assert found["cr-birch"] == "MONOCHROME1"
    assert set(found.values()) == {"MONOCHROME1", "MONOCHROME2"}


def test_ultrasound_is_calibrated_as_a_region(tmp_path: Path) -> None:
    phantom = generate("ultrasound", 2, size=64)
    region = pydicom.dcmread(write(phantom, tmp_path)).SequenceOfUltrasoundRegions[0]
    assert region.PhysicalDeltaY * 10 == pytest.approx(phantom.spacing_mm[0])


@pytest.mark.parametrize("domain", ["fundus", "histology"])
def test_colour_pictures_are_png(domain: str, tmp_path: Path) -> None:
    phantom = generate(domain, 2, size=96)
    path = write(phantom, tmp_path)
    assert path.suffix == ".png"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), phantom.pixels)


def test_visits_of_a_patient_have_their_own_uids_and_rising_dates(tmp_path: Path) -> None:
    first, second = (
        pydicom.dcmread(write(generate("chest-ct", 9, visit, 64), tmp_path)) for visit in (0, 1)
    )
    assert first.PatientID == second.PatientID
    assert first.StudyInstanceUID != second.StudyInstanceUID
    assert first.StudyDate < second.StudyDate


def test_the_manifest_has_one_line_a_study(tmp_path: Path) -> None:
    phantoms = [generate(domain, 1, 0, 64) for domain in DOMAINS]
    manifest = write_manifest(phantoms, tmp_path / "studies")
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len(phantoms)
    for line, phantom in zip(lines, phantoms, strict=True):
        assert (manifest.parent / line["path"]).is_file()
        assert line["study_id"] == phantom.study_id and line["labels"] == labels_of(phantom)
        assert line["split"] == split_of(phantom.patient_id)
        assert (line["source"], line["licence"]) == ("phantom", "CC0-1.0")
        assert phantom.report.impression in line["report"]
    assert not list(manifest.parent.glob("*.part"))


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write(generate("fundus", 1, size=64), blocked)
