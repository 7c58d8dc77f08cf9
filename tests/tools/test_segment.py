import io
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from overread.agent.quantities import measured
from overread.agent.steps import argument_schema
from overread.agent.verifier import verify
from overread.imaging.phantoms import Phantom, generate
from overread.imaging.vocabulary import TARGETS
from overread.tools.base import Evidence, ToolContext
from overread.tools.bundled_segmenter import bundled_segmenter
from overread.tools.segment import build
from tests.tools.conftest import MakeContext, image_of


def with_finding(domain: str, name: str, start: int = 0) -> Phantom:
    """Return the first phantom with one masked finding of a name."""
    for patient in range(start, 400):
        phantom = generate(domain, patient)
        if sum(f.name == name for f in phantom.findings) == 1 and name in phantom.masks:
            return phantom
    raise AssertionError(f"no {domain} phantom has one {name}")


def call(context: ToolContext, **args: object):
    return build(context).invoke({"type": "tool_call", "id": "1", "name": "segment", "args": args})


@pytest.mark.parametrize(
    ("domain", "name"),
    [("chest-xray", "effusion"), ("chest-ct", "nodule"), ("brain-mr", "lesion")],
)
def test_values_are_the_truth_s(make_context: MakeContext, domain: str, name: str) -> None:
    phantom = with_finding(domain, name)
    finding = next(f for f in phantom.findings if f.name == name)
    reply = call(make_context(phantom), image=1, target=name)
    values = reply.artifact.values
    mask = phantom.masks[name]
    assert values["found"] is True
    if finding.size_mm is not None:
        assert values["long_axis_mm"] == pytest.approx(finding.size_mm, abs=0.11)
    pixel = phantom.spacing_mm[0] * phantom.spacing_mm[1]
    assert values["area_mm2"] == pytest.approx(mask.sum() * pixel, abs=0.06)
    assert values["patient_side"] in (finding.side, None)
    assert reply.content.startswith(f"segment {name} in image 1: found, area ")
    assert reply.content.endswith("; confidence 0.90")


def test_artifacts_are_a_full_mask_and_an_overlay(make_context: MakeContext) -> None:
    phantom = with_finding("chest-xray", "effusion")
    context = make_context(phantom)
    overlay, mask, unsure = call(context, image=1, target="effusion").artifact.artifacts
    assert (overlay.kind, mask.kind) == ("overlay", "mask")
    picture = np.asarray(PIL.Image.open(io.BytesIO(context.artifacts.read(mask))))
    assert np.array_equal(picture == 255, phantom.masks["effusion"])
    assert set(np.unique(picture)) == {0, 255}
    shown = PIL.Image.open(io.BytesIO(context.artifacts.read(overlay)))
    assert len({tuple(p) for p in np.asarray(shown.convert("RGB")).reshape(-1, 3)}) > 256
    assert unsure.kind == "plot" and unsure.name.startswith("uncertainty of effusion: entropy of")
    assert PIL.Image.open(io.BytesIO(context.artifacts.read(unsure))).size == shown_size(phantom)


def shown_size(phantom: Phantom) -> tuple[int, int]:
    rows, columns = phantom.pixels.shape[:2]
    return columns, rows


def test_what_is_absent_is_an_answer_and_not_an_error(make_context: MakeContext) -> None:
    phantom = next(p for p in (generate("chest-xray", n) for n in range(99)) if not p.findings)
    reply = call(make_context(phantom), image=1, target="nodule")
    assert reply.status == "success"
    assert reply.content == "segment nodule in image 1: not found; confidence 0.90"
    assert reply.artifact.values == {"found": False, "target": "nodule"}
    assert reply.artifact.artifacts == ()


def test_without_spacing_areas_are_shares_of_the_picture(make_context: MakeContext) -> None:
    phantom = generate("chest-xray", 3)
    image = replace(image_of(phantom), spacing_mm=None)
    reply = call(make_context(phantom, images=[image]), image=1, target="heart")
    share = 100 * phantom.masks["heart"].mean()
    assert reply.artifact.values["area_percent"] == pytest.approx(share, abs=0.01)
    assert "mm" not in reply.content and "% of the picture" in reply.content


def test_a_synonym_is_reported_under_its_own_name(make_context: MakeContext) -> None:
    phantom = with_finding("chest-xray", "effusion")
    reply = call(make_context(phantom), image=1, target="Pleural effusion")
    assert reply.artifact.values["target"] == "effusion"
    assert reply.content.startswith("segment effusion in image 1")


def test_a_target_outside_the_vocabulary_is_refused(make_context: MakeContext) -> None:
    reply = call(make_context(generate("chest-xray", 3)), image=1, target="femur")
    assert reply.status == "error" and "'femur' is not something" in reply.content


def test_the_planner_is_offered_what_the_segmenter_knows(make_context: MakeContext) -> None:
    phantom = generate("chest-xray", 3)

    def offered(**options: object) -> object:
        schema = build(make_context(phantom, **options)).args_schema.model_json_schema()
        assert list(schema["properties"]) == ["image", "target", "points", "box"]
        return schema["properties"]["target"].get("enum")

    assert offered() == list(TARGETS)
    assert offered(names=("spleen", "pancreas")) == ["spleen", "pancreas"]
    assert offered(names=()) is None


@pytest.mark.parametrize("shape", [(1, 1), (40, 30)])
def test_a_blank_image_is_refused(make_context: MakeContext, shape: tuple[int, int]) -> None:
    phantom = generate("chest-xray", 3)
    image = replace(image_of(phantom), pixels=np.full(shape, 7, np.float32), modality="OT")
    context = make_context(phantom, images=[image], segmenter=bundled_segmenter)
    reply = call(context, image=1, target="heart")
    assert reply.status == "error" and reply.content.startswith("image 1 is blank")
    outside = call(context, image=1, target="heart", points=[[900, 900, 1]])
    assert outside.status == "error" and "outside the image" in outside.content


def test_a_name_of_another_kind_of_image_is_a_message(make_context: MakeContext) -> None:
    phantom = generate("brain-mr", 3)
    context = make_context(phantom, segmenter=bundled_segmenter)
    reply = call(context, image=1, target="nuclei")
    assert reply.status == "error"
    assert "knows nuclei in histology alone, and this image is MR" in reply.content
    # Pointed at, it is outlined; what lies around it is not looked for either.
    assert call(context, image=1, target="haemorrhage", points=[[90, 90, 1]]).status == "success"


def test_what_the_confidence_is_of_is_a_value_and_not_in_the_sentence(
    make_context: MakeContext,
) -> None:
    context = make_context(with_finding("chest-xray", "effusion"), segmenter=bundled_segmenter)
    reply = call(context, image=1, target="heart")
    values = reply.artifact.values
    assert values["confidence_of"] == "probability that it is there, calibrated on phantoms"
    assert 0.5 < float(values["dice"]) <= 1
    assert "calibrated" not in reply.content and values["dice"] not in reply.content.split()


def test_how_good_a_mask_is_lends_no_number_and_no_word_to_an_answer(
    make_context: MakeContext,
) -> None:
    context = make_context(with_finding("chest-xray", "effusion"), segmenter=bundled_segmenter)
    reply = call(context, image=1, target="heart")
    entry = Evidence(
        id="E1", tool="segment", arguments={"image": 1, "target": "heart"}, content=reply.content,
        **reply.artifact.model_dump(),
    )  # fmt: skip
    assert float(reply.artifact.values["dice"]) not in [value for value, _ in measured(entry)]
    assert verify("Surgery is expected [E1].", [entry])


@pytest.mark.parametrize("third", [2, -1, 7])
def test_a_point_is_in_or_out(make_context: MakeContext, third: int) -> None:
    context = make_context(generate("chest-xray", 3))
    reply = call(context, image=1, target="heart", points=[[5, 5, third]])
    assert reply.status == "error" and "argument points" in reply.content
    point = argument_schema(build(context))["properties"]["points"]["items"]
    assert point["prefixItems"][2]["enum"] == [0, 1] and point["maxItems"] == 3
