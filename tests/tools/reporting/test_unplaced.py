"""CT slices whose place in the patient is not known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from overread.imaging.phantoms import generate
from overread.tools.reporting.compose import compose
from overread.tools.reporting.export import export
from tests.tools.reporting.conftest import datasets, errors, masks_of, write_stack

Change = Callable[[Dataset, int], None]


def no_position(data: Dataset, number: int) -> None:
    for key in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        delattr(data, key)


def one_without_position(data: Dataset, number: int) -> None:
    if number == 2:
        del data.ImagePositionPatient


def no_spacing(data: Dataset, number: int) -> None:
    del data.PixelSpacing


@pytest.fixture
def stack(read, evidence_of, archive, tmp_path):
    """Return what makes a report on a changed series of three slices, all outlined."""

    def make(change: Change):
        phantom = generate("abdomen-ct", 5)
        for path in write_stack(phantom, tmp_path / "series", 3):
            data = pydicom.dcmread(path)
            change(data, int(data.InstanceNumber))
            data.save_as(path)
        refs = read(tmp_path / "series")
        truth = {
            ref: np.roll(phantom.masks["liver"], 5 * number, axis=0)
            for number, ref in enumerate(refs)
        }
        evidence = evidence_of(*((ref, "liver", mask) for ref, mask in truth.items()))
        return compose(evidence, refs[1], refs, archive), truth

    return make


def parted(found: dict[str, Dataset]) -> tuple[dict[str, Dataset], list[Dataset]]:
    """Return the images by instance, and the segmentations."""
    images = {d.SOPInstanceUID: d for name, d in found.items() if name.startswith("image")}
    return images, [data for name, data in found.items() if name.startswith("SEG")]


def check_masks(segs: list[Dataset], images: dict[str, Dataset], truth: dict) -> None:
    masks = {place: mask for seg in segs for place, mask in masks_of(seg).items()}
    assert len(masks) == len(images) == len(truth)
    for (_, instance), mask in masks.items():
        ref = list(truth)[int(images[instance].InstanceNumber) - 1]
        assert np.array_equal(mask, truth[ref])


@pytest.mark.parametrize("change", [no_position, no_spacing])
def test_slices_without_a_place_are_exported_without_one(stack, archive, store, change) -> None:
    report, truth = stack(change)
    found = datasets(report, "sr", archive, store)
    images, segs = parted(found)
    check_masks(segs, images, truth)
    assert len(segs) == 3
    for data in (*images.values(), *segs):
        assert "FrameOfReferenceUID" not in data and "ImagePositionPatient" not in data
    for ref, image in zip(truth, images.values(), strict=True):
        assert image.SOPClassUID.name == "Secondary Capture Image Storage"
        assert image.Modality == "CT"
        hounsfield = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        assert np.array_equal(hounsfield, archive.load(ref).pixels)
    evidence = found["SR"].CurrentRequestedProcedureEvidenceSequence
    named = {
        item.ReferencedSOPInstanceUID
        for study in evidence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert named >= {seg.SOPInstanceUID for seg in segs}


def test_a_slice_without_a_place_has_a_segmentation_of_its_own(stack, archive, store) -> None:
    report, truth = stack(one_without_position)
    images, segs = parted(datasets(report, "sr", archive, store))
    check_masks(segs, images, truth)
    assert sorted(len(masks_of(seg)) for seg in segs) == [1, 2]
    assert len({seg.SOPInstanceUID for seg in segs}) == 2
    for seg in segs:
        shown = [images[instance] for _, instance in masks_of(seg)]
        assert {image.get("FrameOfReferenceUID") for image in shown} == {
            seg.get("FrameOfReferenceUID")
        }


def test_the_standards_own_validator_has_no_error(stack, archive, store, tmp_path: Path) -> None:
    report, _ = stack(one_without_position)
    assert errors(export(report, ["sr"], archive, store), tmp_path) == []
