"""Words of people that DICOM cannot take as they are, and the mark of made-up images."""

import io
import json
from datetime import UTC, datetime

import numpy as np
import PIL.Image
import pydicom
import pytest

from overread.imaging import synthetic
from overread.imaging.phantoms import generate
from overread.tools.reporting.compose import compose
from overread.tools.reporting.dicom_text import line, paragraph, person_name
from overread.tools.reporting.export import export
from overread.tools.reporting.model import SYNTHETIC, StructuredReport
from tests.tools.reporting.conftest import datasets, errors

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Dr. A. Reader", "Dr. A. Reader^"),
        ("Dr\\Evil", "Dr/Evil^"),
        ("Reader^A.=B", "Reader A. B^"),
        ("a\x00b\nc", "a b c^"),
        ("x" * 64, "x" * 64),
    ],
)
def test_a_signer_is_one_person_in_dicom(make_report, archive, store, name, told) -> None:
    assert person_name(name) == told
    report = make_report(generate("chest-xray", 61881), ["effusion"]).signed(name, NOW)
    found = datasets(report, "sr", archive, store)
    verifier = found["SR"].VerifyingObserverSequence[0]
    assert verifier["VerifyingObserverName"].VM == 1
    assert str(verifier.VerifyingObserverName) == told
    assert str(found["SEG"].ContentCreatorName) == told


def test_an_outline_keeps_its_name_in_one_value(
    make_report, read, evidence_of, archive, store, tmp_path
) -> None:
    name = "left\\upper cyst"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "x.png")
    (ref,) = read(tmp_path / "x.png")
    report = compose(evidence_of((ref, name, pixels > 128)), ref, [ref], archive)
    found = datasets(report, "sr", archive, store)
    (segment,) = found["SEG"].SegmentSequence
    assert segment["SegmentLabel"].VM == 1 and segment.SegmentLabel == "left/upper cyst"
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    assert (kind["CodeValue"].VM, kind["CodeMeaning"].VM) == (1, 1)
    texts = [item.TextValue for item in _texts(found["SR"])]
    assert any(text.startswith("Left\\upper cyst: ") for text in texts)  # as it was written


def test_what_is_too_long_for_a_line_ends_with_an_ellipsis() -> None:
    assert line("y" * 64) == "y" * 64
    assert line("y" * 65) == "y" * 63 + "…"
    assert paragraph("a\x07b\n\\c") == "a b\n\\c"


@pytest.fixture
def made_up(read, evidence_of, archive, tmp_path) -> StructuredReport:
    picture = PIL.Image.fromarray(np.full((64, 64), 90, np.uint8))
    (tmp_path / "s.png").write_bytes(synthetic.to_png(picture, {"seed": 1}))
    (ref,) = read(tmp_path / "s.png")
    mask = np.zeros((64, 64), bool)
    mask[20:30, 20:30] = True
    return compose(evidence_of((ref, "effusion", mask)), ref, [ref], archive)


def test_the_standards_own_validator_has_no_error(made_up, archive, store, tmp_path) -> None:
    signed = made_up.signed("Dr\\Evil", NOW)
    found = errors(export(signed, ["sr"], archive, store), tmp_path)
    # Its dictionary is older than Synthetic Data.
    assert [error for error in found if "(0x0008,0x001c)" not in error] == []


@pytest.mark.parametrize("signed", [False, True])
def test_every_object_of_a_made_up_image_says_so(made_up, archive, store, signed) -> None:
    report = made_up.signed("Dr. A", NOW) if signed else made_up
    found = datasets(report, "sr", archive, store)
    assert set(found) == {"image 1", "SEG", "SR"}
    for data in found.values():
        assert data.SyntheticData == "YES" and "SYNTHETIC" in data.SeriesDescription
    assert found["image 1"].ImageComments == SYNTHETIC
    assert "SYNTHETIC" in found["SEG"].ContentDescription
    assert SYNTHETIC in [item.TextValue for item in _texts(found["SR"])]
    (file,) = export(report, ["fhir"], archive, store)
    for entry in json.loads(file.data)["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "DiagnosticReport":
            assert SYNTHETIC in resource["conclusion"]
        if resource["resourceType"] == "Observation":
            assert SYNTHETIC in [note["text"] for note in resource["note"]]


def test_a_real_image_is_not_called_made_up(make_report, archive, store) -> None:
    report = make_report(generate("chest-xray", 61881), ["effusion"])
    for file in export(report, ["sr", "fhir"], archive, store):
        assert b"synthetic" not in file.data.lower(), file.name
        if file.name.endswith(".dcm"):
            assert "SyntheticData" not in pydicom.dcmread(io.BytesIO(file.data))


def _texts(sr):
    container = next(
        item for item in sr.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "C0034375"
    )  # fmt: skip
    return [item for item in container.ContentSequence if item.ValueType == "TEXT"]
