"""What a reader drew, or had carried through a series, in SEG, SR and FHIR."""

import json
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest

from overread.agent.reader import Outlined, additions
from overread.imaging.phantoms import generate
from overread.imaging.study import Image
from overread.tools.base import Evidence
from overread.tools.reporting import series_sheet
from overread.tools.reporting.compose import compose
from overread.tools.reporting.export import export
from overread.tools.segmenter import Segmentation
from tests.tools.reporting.conftest import datasets, errors, masks_of, numbers, write_stack

SLICES = 7


class Brightest:
    """Finds what is brighter than a limit."""

    version, targets, any_words = "brightest 1", (), False

    def segment(self, image: Image, target: str | None = None, **prompts: object) -> Segmentation:
        mask = np.asarray(image.pixels) > 50
        return Segmentation(mask, mask.astype(np.float32), bool(mask.any()), 0.9)


@pytest.fixture
def series(read, tmp_path):
    """Return an oblique series; slices 2 to 6 show a bright square that moves by a pixel a slice."""
    for path in write_stack(generate("abdomen-ct", 5), tmp_path / "series", SLICES):
        data = pydicom.dcmread(path)
        number = int(data.InstanceNumber)
        pixels = np.zeros((data.Rows, data.Columns), np.uint16)
        if 2 <= number <= 6:
            pixels[40 + number : 60 + number, 30:70] = 1024 + 100
        data.PixelData = pixels.tobytes()
        data.save_as(path)
    return read(tmp_path / "series")


@pytest.fixture
def draw(archive, store):
    """Return what adds an outline of the reader's, as the reading room does."""

    def make(ref, name: str, helper: str | None = None, carried: bool = False) -> Evidence:
        mask = np.asarray(archive.load(ref).pixels) > 50
        resources = SimpleNamespace(archive=archive, artifacts=store, segmenter=lambda: Brightest())
        return additions(resources, {}, Outlined(ref, name, mask, helper, carried), 4)[1]

    return make


@pytest.mark.parametrize(
    ("helper", "making", "algorithm"),
    [(None, "MANUAL", None), ("clicks 3", "SEMIAUTOMATIC", "clicks 3")],
)
def test_a_readers_outline_is_the_readers(
    series, draw, archive, store, helper, making, algorithm
) -> None:
    report = compose([draw(series[3], "cyst", helper)], series[3], series, archive)
    (segment,) = datasets(report, "seg", archive, store)["SEG"].SegmentSequence
    assert segment.SegmentAlgorithmType == making
    assert segment.get("SegmentAlgorithmName") == algorithm


def test_a_segmenters_outline_is_automatic(make_report, archive, store) -> None:
    report = make_report(generate("chest-xray", 61881), ["effusion"])
    (segment,) = datasets(report, "seg", archive, store)["SEG"].SegmentSequence
    assert (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName) == (
        "AUTOMATIC", "segment 1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("liver", "Anatomical Structure"),
        ("cyst", "Morphologically Abnormal Structure"),
        ("two small cysts near the hilum", "Morphologically Abnormal Structure"),
        ("something odd", "Tissue"),
    ],
)
def test_a_name_of_the_readers_own_is_no_anatomy(
    series, draw, archive, store, name, category
) -> None:
    report = compose([draw(series[3], name)], series[3], series, archive)
    (segment,) = datasets(report, "seg", archive, store)["SEG"].SegmentSequence
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning == category
    assert segment.SegmentLabel == name


def test_a_carried_outline_is_exported_in_every_slice(series, draw, archive, store) -> None:
    entry = draw(series[3], "cyst", carried=True)
    report = compose([entry], series[3], series, archive)
    found = datasets(report, "sr", archive, store)
    seg = found["SEG"]
    masks = masks_of(seg)
    assert len(masks) == seg.NumberOfFrames == entry.values["slices"] == 5
    places = {found[f"image {n}"].SOPInstanceUID: n for n in range(2, 7)}
    frames = zip(masks.items(), seg.PerFrameFunctionalGroupsSequence, strict=True)
    for ((label, instance), mask), groups in frames:
        image = found[f"image {places[instance]}"]
        assert label == "cyst"
        assert np.array_equal(mask, archive.load(series[places[instance] - 1]).pixels > 50)
        where = groups.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(where, image.ImagePositionPatient)
    (segment,) = seg.SegmentSequence
    assert segment.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert segment.SegmentAlgorithmName == "brightest 1"


def test_the_volume_of_a_carried_outline_is_measured(series, draw, archive, store) -> None:
    entry = draw(series[3], "cyst", carried=True)
    report = compose([entry], series[3], series, archive)
    found = datasets(report, "sr", archive, store)
    volume = numbers(found["SR"])["118565006", "SCT"]
    assert volume.value == entry.values["volume_ml"] > 0
    assert (volume.unit, volume.error) == ("ml", entry.values["error"])
    segment, *sources = (item for item in volume.group.ContentSequence if item.ValueType == "IMAGE")
    reference = segment.ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == found["SEG"].SOPInstanceUID
    assert reference.ReferencedSegmentNumber == 1 and len(sources) == 5
    (file,) = export(report, ["fhir"], archive, store)
    resources = [entry["resource"] for entry in json.loads(file.data)["entry"]]
    told = next(r for r in resources if r["resourceType"] == "Observation")["component"][-1]
    assert told["code"]["text"] == "volume of cyst"
    assert (told["valueQuantity"]["value"], told["valueQuantity"]["code"]) == (volume.value, "mL")


def test_the_standards_own_validator_has_no_error(series, draw, archive, store, tmp_path) -> None:
    carried = draw(series[3], "cyst", carried=True)
    by_hand = draw(series[4], "my own\\words").model_copy(update={"id": "E9"})
    report = compose([carried, by_hand], series[3], series, archive)
    assert errors(export(report, ["sr"], archive, store), tmp_path) == []


def test_a_later_outline_takes_the_place_of_a_carried_one(series, draw, archive, store) -> None:
    carried = draw(series[3], "cyst", carried=True)
    later = draw(series[4], "cyst").model_copy(update={"id": "E9"})
    report = compose([carried, later], series[3], series, archive)
    found = datasets(report, "sr", archive, store)
    assert len(masks_of(found["SEG"])) == 5
    volume = numbers(found["SR"])["118565006", "SCT"]
    kinds = [item.ConceptNameCodeSequence[0].CodeMeaning for item in volume.group.ContentSequence]
    assert "Referenced Segment" not in kinds  # it is no longer the volume of the whole segment


def test_a_contact_sheet_without_masks_has_none(store, series, draw) -> None:
    entry = draw(series[3], "cyst")
    overlay = next(artifact for artifact in entry.artifacts if artifact.kind == "overlay")
    assert series_sheet.masks_in(store.read(overlay)) == {}
