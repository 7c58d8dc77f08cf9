"""Measurements with their errors, names and sides in SR, SEG and FHIR."""

import json

import numpy as np
import pytest
from pydicom.dataset import Dataset

from overread.imaging.phantoms import generate
from overread.imaging.study import Image
from overread.tools import quantify
from overread.tools.base import Evidence, ToolContext
from overread.tools.reporting import coding
from overread.tools.reporting.compose import compose
from overread.tools.reporting.export import export
from overread.tools.segmenter import Segmentation
from tests.tools.reporting.conftest import datasets, errors, numbers, write_stack

LONG, SHORT, DISTANCE = ("103339001", "SCT"), ("103340004", "SCT"), ("121206", "DCM")


class Blocks:
    """Outlines an upright block for any name, another one for each."""

    version, targets, any_words = "blocks 1", ("cyst", "left kidney", "right kidney"), False

    def segment(self, image: Image, target: str | None = None, **prompts: object) -> Segmentation:
        mask = np.zeros(image.shape, bool)
        left = 20 + 60 * self.targets.index(target or "cyst")
        mask[40:90, left : left + 20] = True
        return Segmentation(mask, mask.astype(np.float32), True, 0.9)


@pytest.fixture
def ref(read, tmp_path):
    write_stack(generate("abdomen-ct", 5), tmp_path / "series", 1)
    return read(tmp_path / "series")[0]


@pytest.fixture
def measured(ref, archive, store):
    """Return a report on measurements, each given as the arguments of `quantify`."""

    def make(*asked: dict):
        context = ToolContext(
            images=(ref,), archive=archive, artifacts=store,
            segmenter=Blocks, index=lambda: None,
        )  # fmt: skip
        tool, entries = quantify.build(context), []
        for number, args in enumerate(asked, start=1):
            call = {"type": "tool_call", "id": "1", "name": tool.name, "args": {"image": 1} | args}
            reply = tool.invoke(call)
            assert reply.status == "success", reply.content
            told = reply.artifact.model_dump()
            entry = Evidence(
                id=f"E{number}", tool=tool.name, arguments=args, content=reply.content, **told
            )
            entries.append(entry)
        return compose(entries, ref, [ref], archive)

    return make


def observations(report, archive, store) -> list[dict]:
    (file,) = export(report, ["fhir"], archive, store)
    resources = [entry["resource"] for entry in json.loads(file.data)["entry"]]
    return [item for item in resources if item["resourceType"] == "Observation"]


def finding(group: Dataset) -> str | None:
    """Return the meaning of a measurement group's finding (TID 1501)."""
    found = [
        item.ConceptCodeSequence[0].CodeMeaning
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "121071"
    ]
    return found[0] if found else None


def test_both_diameters_are_measurements_with_their_errors(measured, archive, store) -> None:
    report = measured({"quantity": "diameters", "target": "cyst"})
    values = report.evidence[0].values
    told = numbers(datasets(report, "sr", archive, store)["SR"])
    assert set(told) == {LONG, SHORT}
    assert (told[LONG].value, told[LONG].error) == (values["value"], values["error"])
    assert told[SHORT].value == values["short_axis"] < told[LONG].value
    assert told[SHORT].error == values["short_axis_error"] > 0
    assert {item.unit for item in told.values()} == {"mm"}
    (result,) = observations(report, archive, store)
    sizes = {part["code"]["text"]: part["valueQuantity"] for part in result["component"]}
    assert "valueQuantity" not in result and list(sizes) == [
        "long axis of cyst", "short axis of cyst",
    ]  # fmt: skip
    (error,) = sizes["short axis of cyst"]["extension"]
    assert error["url"].endswith("iso21090-uncertainty")
    assert error["valueDecimal"] == values["short_axis_error"]


def test_a_distance_between_places_names_no_structure(measured, archive, store) -> None:
    report = measured({"quantity": "distance", "points": [[3, 4], [13, 24]]})
    told = numbers(datasets(report, "sr", archive, store)["SR"])
    (distance,) = told.values()
    assert set(told) == {DISTANCE} and finding(distance.group) is None
    (number,) = (item for item in distance.group.ContentSequence if item.ValueType == "NUM")
    (line,) = (item for item in number.ContentSequence if item.ValueType == "SCOORD")
    assert line.GraphicType == "POLYLINE"
    assert list(line.GraphicData) == [3.5, 4.5, 13.5, 24.5]
    (result,) = observations(report, archive, store)
    assert result["code"]["text"] == "distance between two places"


def test_the_standards_own_validator_has_no_error(measured, archive, store, tmp_path) -> None:
    report = measured(
        {"quantity": "diameters", "target": "cyst"},
        {"quantity": "distance", "points": [[3, 4], [13, 24]]},
        {"quantity": "intensity", "box": [2, 3, 9, 8]},
        {"quantity": "distance", "target": "cyst", "reference": "left kidney"},
    )
    assert errors(export(report, ["sr"], archive, store), tmp_path) == []


def test_the_intensity_in_a_box_lies_in_the_box(measured, archive, store) -> None:
    report = measured({"quantity": "intensity", "box": [2, 3, 9, 8]})
    (mean,) = numbers(datasets(report, "sr", archive, store)["SR"]).values()
    (number,) = (item for item in mean.group.ContentSequence if item.ValueType == "NUM")
    (box,) = (item for item in number.ContentSequence if item.ValueType == "SCOORD")
    assert list(box.GraphicData) == [2, 3, 10, 3, 10, 9, 2, 9, 2, 3]
    assert finding(mean.group) is None and mean.unit == "[hnsf'U]"


def test_distances_to_two_structures_have_two_names(measured, archive, store) -> None:
    report = measured(
        *(
            {"quantity": "distance", "target": "cyst", "reference": f"{side} kidney"}
            for side in ("left", "right")
        )
    )
    told = numbers(datasets(report, "sr", archive, store)["SR"])
    assert len(told) == 2
    names = [
        item.ConceptNameCodeSequence[0].CodeMeaning
        for found in told.values()
        for item in found.group.ContentSequence
        if item.ValueType == "NUM"
    ]
    assert names == ["distance to left kidney", "distance to right kidney"]
    assert {finding(found.group) for found in told.values()} == {"Cyst"}


def test_a_code_of_ours_is_that_of_one_name_alone() -> None:
    names = ["distance to left kidney", "distance to left lung", "a/b", r"a\b", "a b", "漢字"]
    found = [coding.concept(name) for name in names]
    assert len({code.value for code in found}) == len(names)
    assert found == [coding.concept(name) for name in names]
    assert all(len(code.value) <= 16 and code.value.isascii() for code in found)
    assert coding.concept("optic cup").value == "optic_cup"


def test_left_and_right_are_told_apart(read, evidence_of, archive, store, tmp_path) -> None:
    phantom = generate("abdomen-ct", 5)
    write_stack(phantom, tmp_path / "series", 1)
    (ref,) = read(tmp_path / "series")
    names = ("left kidney", "right kidney", "liver")
    report = compose(
        evidence_of(*((ref, name, phantom.masks[name]) for name in names)), ref, [ref], archive
    )
    found = datasets(report, "sr", archive, store)
    sides = {}
    for segment in found["SEG"].SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        modifiers = kind.get("SegmentedPropertyTypeModifierCodeSequence", ())
        sides[segment.SegmentLabel] = [item.CodeValue for item in modifiers]
    assert sides == {"left kidney": ["7771000"], "right kidney": ["24028007"], "liver": []}
    container = next(
        item for item in found["SR"].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "126010"
    )  # fmt: skip
    told = [
        [
            item.ConceptCodeSequence[0].CodeMeaning
            for item in group.ContentSequence
            if item.ConceptNameCodeSequence[0].CodeValue in ("121071", "272741003")
        ]
        for group in container.ContentSequence
    ]
    assert ["Kidney", "Left"] in told and ["Kidney", "Right"] in told


@pytest.mark.parametrize(
    ("name", "side"),
    [("left lung", "Left"), ("cyst of the Right kidney", "Right"), ("left to right", None)],
)
def test_a_name_states_at_most_one_side(name: str, side: str | None) -> None:
    found = coding.laterality(name)
    assert (found and found.meaning) == side
