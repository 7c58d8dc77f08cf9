"""DICOM SEG and SR: geometry and masks equal, read by pydicom alone and by dcmtk."""

import io
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate
from overread.tools.reporting.compose import compose
from overread.tools.reporting.export import export
from tests.tools.reporting.conftest import (
    OBLIQUE,
    datasets,
    errors,
    in_frame,
    masks_of,
    write_png,
    write_stack,
)

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture
def stack(read, evidence_of, archive, tmp_path):
    """A report on an oblique series of five slices, three of them outlined."""
    phantom = generate("abdomen-ct", 5)
    write_stack(phantom, tmp_path / "series", 5)
    refs = read(tmp_path / "series")
    truth = {}
    for number in (1, 2, 4):
        for target in ("liver", "spleen"):
            truth[refs[number], target] = np.roll(phantom.masks[target], 5 * number, axis=0)
    evidence = evidence_of(*((ref, target, mask) for (ref, target), mask in truth.items()))
    return compose(evidence, refs[2], refs, archive), refs, truth


def test_a_segmentation_equals_its_masks_voxel_by_voxel(stack, archive, store) -> None:
    report, refs, truth = stack
    found = datasets(report, "seg", archive, store)
    masks = masks_of(found["SEG"])
    instances = {refs[number]: found[f"image {number + 1}"].SOPInstanceUID for number in (1, 2, 4)}
    assert len(masks) == len(truth) == 6
    for (ref, target), mask in truth.items():
        assert np.array_equal(masks[target, instances[ref]], mask), (ref, target)


def test_a_segmentation_lies_where_its_images_lie(stack, archive, store, tmp_path) -> None:
    report, _, _ = stack
    found = datasets(report, "seg", archive, store)
    seg = found.pop("SEG")
    images = {image.SOPInstanceUID: image for image in found.values()}
    originals = [pydicom.dcmread(path) for path in (tmp_path / "series").glob("*.dcm")]
    places = {int(o.InstanceNumber): o for o in originals}
    assert len(images) == 3 and seg.FrameOfReferenceUID in {
        image.FrameOfReferenceUID for image in images.values()
    }
    for number in range(seg.NumberOfFrames):
        groups = in_frame(seg, number)
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        image = images[source.ReferencedSOPInstanceUID]
        original = places[int(image.InstanceNumber)]
        where = groups.PlanePositionSequence[0].ImagePositionPatient
        turned = groups.PlaneOrientationSequence[0].ImageOrientationPatient
        measures = groups.PixelMeasuresSequence[0]
        for found_here in (where, image.ImagePositionPatient):
            assert np.allclose(found_here, original.ImagePositionPatient, atol=1e-5)
        assert np.allclose(turned, OBLIQUE) and np.allclose(image.ImageOrientationPatient, OBLIQUE)
        assert measures.PixelSpacing == image.PixelSpacing == original.PixelSpacing
        assert measures.SliceThickness == original.SliceThickness == 2
        hounsfield = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        assert np.array_equal(hounsfield, original.pixel_array.astype(int) - 1024)


def test_no_exported_object_knows_the_patient(stack, archive, store, tmp_path) -> None:
    report, _, _ = stack
    original = pydicom.dcmread(next((tmp_path / "series").glob("*.dcm")))
    secret = [original.PatientID, original.StudyInstanceUID, original.SeriesInstanceUID, "1.2.3.3"]
    for file in export(report, ["seg", "sr"], archive, store):
        for value in (*secret, "Phantom^Synthetic", original.StudyDate):
            assert value.encode() not in file.data, (file.name, value)
        data = pydicom.dcmread(io.BytesIO(file.data))
        assert data.PatientID == report.patient_id


def test_a_nifti_volume_keeps_its_affine(read, evidence_of, archive, store, tmp_path) -> None:
    affine = np.array(
        [[0.0, -1.5, 0.0, 20.0], [2.0, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 11.0], [0, 0, 0, 1]]
    )
    voxels = np.random.default_rng(0).normal(size=(10, 12, 4)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "v.nii")
    refs = read(tmp_path / "v.nii")
    mask = np.zeros(archive.load(refs[2]).shape, bool)
    mask[3, 5] = True
    report = compose(evidence_of((refs[2], "lesion", mask)), refs[2], refs, archive)
    found = datasets(report, "seg", archive, store)
    image, seg = found["image 3"], found["SEG"]
    groups = in_frame(seg, 0)
    origin = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
    axes = np.array(groups.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down, across = (float(v) for v in groups.PixelMeasuresSequence[0].PixelSpacing)
    point = origin + 5 * across * axes[:3] + 3 * down * axes[3:]
    # Where the same voxel lies by the file's own affine: the value tells which voxel it is.
    value = archive.load(refs[2]).pixels[3, 5]
    (index,) = np.argwhere(voxels == value)
    ras = (affine @ np.array([*index, 1.0]))[:3]
    assert np.allclose(point, ras * (-1, -1, 1), atol=1e-4)
    assert np.array_equal(seg.pixel_array.reshape(mask.shape).astype(bool), mask)
    assert image.SliceThickness == 3


def test_a_photograph_becomes_a_secondary_capture(
    read, evidence_of, archive, store, tmp_path
) -> None:
    (ref,) = read(write_png(tmp_path / "png"))
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:50] = True
    report = compose(evidence_of((ref, "mass", mask)), ref, [ref], archive)
    found = datasets(report, "sr", archive, store)
    image, seg = found["image 1"], found["SEG"]
    assert image.SOPClassUID.name == "Secondary Capture Image Storage"
    assert np.array_equal(image.pixel_array, archive.load(ref).pixels)
    assert "FrameOfReferenceUID" not in image and "PixelSpacing" not in image
    assert np.array_equal(seg.pixel_array.reshape(mask.shape).astype(bool), mask)


def test_values_that_are_no_whole_numbers_lose_less_than_a_step(
    read, evidence_of, archive, store, tmp_path
) -> None:
    voxels = np.random.default_rng(1).normal(0, 1e-3, (9, 9, 1)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "v.nii")
    (ref,) = read(tmp_path / "v.nii")
    report = compose(evidence_of((ref, "lesion", np.ones((9, 9), bool))), ref, [ref], archive)
    image = datasets(report, "seg", archive, store)["image 1"]
    back = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
    step = float(np.ptp(voxels)) / 65535
    assert np.abs(back - archive.load(ref).pixels).max() <= step


def test_without_an_outline_there_is_no_segmentation(make_report, archive, store) -> None:
    report = make_report(generate("chest-xray", 61881), ["pneumothorax"])
    with pytest.raises(InputError, match="nothing was outlined"):
        export(report, ["seg"], archive, store)
    names = [file.name for file in export(report, ["sr"], archive, store)]
    assert [name.split("-")[0] for name in names] == ["image", "DRAFT"]


@pytest.fixture
def chest(make_report):
    return make_report(generate("chest-xray", 61881), ["effusion", "pneumothorax", "heart"])


def test_a_structured_report_is_unverified_until_signed(chest, archive, store) -> None:
    draft = datasets(chest, "sr", archive, store)["SR"]
    assert draft.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (draft.CompletionFlag, draft.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    assert draft.PreliminaryFlag == "PRELIMINARY" and draft.SeriesDescription.startswith("DRAFT")
    signed = datasets(chest.signed("Dr. A", NOW), "sr", archive, store)["SR"]
    assert (signed.CompletionFlag, signed.VerificationFlag) == ("COMPLETE", "VERIFIED")
    assert signed.PreliminaryFlag == "FINAL"
    assert str(signed.VerifyingObserverSequence[0].VerifyingObserverName) == "Dr. A^"
    assert signed.SOPInstanceUID != draft.SOPInstanceUID


def test_the_same_report_is_the_same_object(chest, archive, store) -> None:
    first, second = (datasets(chest, "sr", archive, store) for _ in range(2))
    for name, data in first.items():
        assert data.SOPInstanceUID == second[name].SOPInstanceUID


def dcmtk(tool: str, path: Path) -> str:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed; install Debian's dcmtk to run this test")
    done = subprocess.run([tool, str(path)], capture_output=True, check=False)
    told = done.stderr.decode()
    assert done.returncode == 0 and not told.startswith("E:"), told
    return done.stdout.decode("utf-8", "replace")


def test_dcmtk_reads_what_we_write(chest, archive, store, tmp_path) -> None:
    files = {file.name.split("-st-")[0]: file for file in export(chest, ["sr"], archive, store)}
    paths = {}
    for name, file in files.items():
        paths[name] = tmp_path / file.name
        paths[name].write_bytes(file.data)
    dumped = dcmtk("dcmdump", paths["DRAFT-segmentation"])
    assert "=SegmentationStorage" in dumped and "[DRAFT]" in dumped
    assert "=SecondaryCaptureImageStorage" in dcmtk("dcmdump", paths["image-1"])
    page = dcmtk("dsr2html", paths["DRAFT-report"])
    for words in ("PARTIAL", "UNVERIFIED", "Pleural effusion", "Pneumothorax", "Absent", "[E2]"):
        assert words in page, words
    area = next(
        e.values["area_mm2"] for e in chest.evidence if e.values.get("target") == "effusion"
    )
    assert f"{area} mm2" in page


def test_the_standards_own_validator_has_no_error(chest, stack, archive, store, tmp_path) -> None:
    for report in (chest, stack[0].signed("Dr. A", NOW)):
        assert errors(export(report, ["sr"], archive, store), tmp_path) == []
