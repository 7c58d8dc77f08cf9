import math
from dataclasses import replace

import numpy as np
import pytest

from overread.imaging.phantoms import DOMAINS, generate
from overread.imaging.study import Image, ImageRef
from overread.tools.base import ToolContext
from overread.tools.measure import build, error_of, measure_masks
from overread.tools.segmenter import Segmentation
from overread.tools.uncertainty import Measured, digits, length_error, within
from tests.tools.conftest import MakeContext, image_of

REF = ImageRef("st", "s0", "i0")
ASKED = ("long_axis", "area", "count", "width_ratio", "height_ratio", "midline_shift")


def call(context: ToolContext, **args: object):
    return build(context).invoke({"type": "tool_call", "id": "1", "name": "measure", "args": args})


def test_hand_computed_quantities() -> None:
    image = Image(REF, np.zeros((40, 40), np.float32), spacing_mm=(0.5, 0.25))
    mask, other = np.zeros((2, 40, 40), bool)
    mask[10:20, 4:24] = True
    other[0:20, 0:40] = True
    expected = {
        "area": (25.0, "mm2"),
        "width": (5.0, "mm"),
        "height": (5.0, "mm"),
        "count": (1.0, ""),
        "width_ratio": (0.5, ""),
        "height_ratio": (0.5, ""),
        "area_ratio": (0.25, ""),
        "distance": (0.0, "mm"),
    }
    for quantity, answer in expected.items():
        assert measure_masks(image, quantity, "mass", mask, other) == answer, quantity


def test_without_spacing_units_say_so() -> None:
    image = Image(REF, np.zeros((40, 40), np.float32))
    mask = np.zeros((40, 40), bool)
    mask[10:20, 4:24] = True
    assert measure_masks(image, "width", "mass", mask) == (20.0, "pixels")
    assert measure_masks(image, "area", "mass", mask) == (12.5, "% of the picture")


@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_measurements_answer_the_phantoms_own_questions(
    make_context: MakeContext, domain: str
) -> None:
    """Phantoms compute their answers with other code; rounding of the last digit is allowed."""
    checked = 0
    for patient in range(12):
        phantom = generate(domain, patient)
        context = make_context(phantom)
        for question in phantom.questions:
            if question.quantity not in ASKED or question.answer_type != "number":
                continue
            if question.target not in phantom.masks:
                continue
            args = {"image": 1, "target": question.target, "quantity": question.quantity}
            if question.reference:
                args["reference"] = question.reference
            reply = call(context, **args)
            assert reply.status == "success", reply.content
            value, answer = reply.artifact.values["value"], float(question.answer)
            slack = 0.6 * 10.0 ** -len(question.answer.partition(".")[2])
            if question.target == "nuclei":  # parted by shape, which errs even on the truth
                slack = max(1.0, 0.1 * answer)
            assert value == pytest.approx(answer, abs=slack), (patient, question)
            checked += 1
    assert checked or domain == "ultrasound"


def test_the_cardiothoracic_ratio_needs_no_reference(make_context: MakeContext) -> None:
    context = make_context(generate("chest-xray", 5))
    bare = call(context, image=1, target="heart", quantity="width_ratio")
    full = call(context, image=1, target="heart", quantity="width_ratio", reference="thorax")
    assert bare.content == full.content
    assert bare.content.startswith("measure width_ratio heart to thorax in image 1: 0.")


def test_midline_shift_is_a_length_with_a_side(make_context: MakeContext) -> None:
    for patient in range(200):
        phantom = generate("brain-mr", patient)
        shift = next((f for f in phantom.findings if f.name == "midline shift"), None)
        if shift is not None:
            break
    assert shift is not None
    reply = call(make_context(phantom), image=1, target="ventricles", quantity="midline_shift")
    assert reply.artifact.values["value"] == pytest.approx(shift.size_mm, abs=0.11)
    assert reply.artifact.values["towards"] == shift.side
    assert reply.content.endswith(f" mm towards patient {shift.side}")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"target": "nodule", "quantity": "area"}, "no nodule found in image 1"),
        ({"target": "heart", "quantity": "distance"}, "needs a second structure"),
        (
            {"target": "heart", "quantity": "area_ratio", "reference": "heart"},
            "to itself says nothing",
        ),
        ({"target": "ventricles", "quantity": "midline_shift"}, "no ventricles found"),
        ({"target": "femur", "quantity": "area"}, "not something this segmenter knows"),
        ({"target": "heart", "quantity": "weight"}, "argument quantity"),
    ],
)
def test_what_cannot_be_measured_is_said(
    make_context: MakeContext, args: dict[str, str], message: str
) -> None:
    phantom = next(p for p in (generate("chest-xray", n) for n in range(99)) if not p.findings)
    reply = call(make_context(phantom), image=1, **args)
    assert reply.status == "error" and message in reply.content


def test_pixels_are_the_unit_where_spacing_is_unknown(make_context: MakeContext) -> None:
    phantom = generate("chest-xray", 5)
    image = replace(image_of(phantom), spacing_mm=None)
    reply = call(make_context(phantom, images=[image]), image=1, target="heart", quantity="width")
    assert reply.content.endswith(" pixels")
    assert reply.artifact.values["unit"] == "pixels"


def test_a_value_has_the_error_of_the_grid_where_outlines_are_sure(
    make_context: MakeContext,
) -> None:
    phantom = generate("chest-xray", 5)
    spacing = phantom.spacing_mm
    wide = call(make_context(phantom), image=1, target="heart", quantity="width").artifact.values
    assert wide["error"] == digits(length_error(spacing))
    ratio = call(make_context(phantom), image=1, target="heart", quantity="width_ratio")
    heart, thorax = (np.ptp(np.nonzero(phantom.masks[n])[1]) + 1 for n in ("heart", "thorax"))
    of_heart, of_thorax = (length_error((1.0, 1.0)) / width for width in (heart, thorax))
    expected = heart / thorax * math.hypot(of_heart, of_thorax)
    assert ratio.artifact.values["error"] == digits(expected)
    assert "\u00b1" not in ratio.content


def test_doubt_about_an_outline_widens_the_error() -> None:
    found = np.zeros((40, 40), np.float32)
    found[10:20, 4:24] = 0.9
    unsure = found.copy()
    unsure[10:20, 24:34] = 0.4
    image = Image(REF, np.zeros((40, 40), np.float32), spacing_mm=(1.0, 1.0))
    sure, doubtful = (
        error_of(image, "width", "mass", [Segmentation(p >= 0.5, p, True, 1.0)])
        for p in (found, unsure)
    )
    assert sure == pytest.approx(length_error((1.0, 1.0)))
    assert doubtful == pytest.approx(math.hypot(5.0, sure))
    other = Segmentation(np.ones((40, 40), bool), np.ones((40, 40), np.float32), True, 1.0)
    ratios = [
        error_of(image, "width_ratio", "mass", [Segmentation(p >= 0.5, p, True, 1.0), other])
        for p in (found, unsure)
    ]
    assert ratios[1] == pytest.approx(math.hypot(5.0 / 40, ratios[0]))


def test_what_masks_are_usually_off_widens_the_error() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:20, 4:24] = True
    image = Image(REF, np.zeros((40, 40), np.float32), spacing_mm=(1.0, 1.0))
    sure, wrong = (
        Segmentation(mask, mask.astype(np.float32), True, 1.0, errors=errors)
        for errors in ({}, {"length": 0.1, "area": 0.2, "shift": 0.01})
    )
    for quantity, second, share in [
        ("width", [], 0.1 * 20),
        ("area", [], 0.2 * 200),
        ("count", [], 0.0),
        ("width_ratio", [sure], 0.1 * 1.0),
        ("area_ratio", [sure], 0.2 * 1.0),
        ("midline_shift", [sure], 0.01 * 20),
    ]:
        bare, full = (error_of(image, quantity, "mass", [one, *second]) for one in (sure, wrong))
        assert full == pytest.approx(math.hypot(bare, share)), quantity


def test_the_doubt_about_a_shift_reaches_across_the_middle() -> None:
    """The ventricles may lie to the left or to the right of the middle."""
    brain = np.ones((40, 81), bool)
    probability = np.zeros((40, 81), np.float32)
    probability[:, 38:43] = 0.6
    probability[:, 34:36] = 0.9  # all that is left of them at 0.7 lies 5.5 to the left
    probability[:, 45:58] = 0.4  # with these, at 0.3, their middle lies to the right
    found = [
        Segmentation(probability >= 0.5, probability, True, 1.0),
        Segmentation(brain, brain.astype(np.float32), True, 1.0),
    ]
    image = Image(REF, np.zeros((40, 81), np.float32), spacing_mm=(1.0, 1.0))
    places = [np.nonzero(probability[0] >= level)[0].mean() - 40 for level in (0.3, 0.7)]
    assert places[1] < 0 < places[0]
    expected = math.hypot((places[0] - places[1]) / 2, length_error((1.0, 1.0)) / 2)
    assert error_of(image, "midline_shift", "ventricles", found) == pytest.approx(expected)


def test_confidence_counts_what_the_value_may_be_off(make_context: MakeContext) -> None:
    assert within(Measured(10.0, 2.0)) == pytest.approx(0.6827, abs=1e-4)
    assert within(Measured(10.0, 0.5), count=True) == pytest.approx(0.6827, abs=1e-4)
    assert within(Measured(20.0, 4.0), count=True) == pytest.approx(0.6827, abs=1e-4)
    assert within(Measured(0.1, 2.0)) < 0.01
    phantom = generate("chest-xray", 5)
    sure, touching = (
        call(make_context(phantom), image=1, target="heart", **asked).artifact
        for asked in ({"quantity": "width"}, {"quantity": "distance", "reference": "thorax"})
    )
    assert sure.confidence == 0.9  # the structure's own
    assert touching.values["value"] == 0.0
    assert touching.confidence == round(0.9 * math.erf(math.sqrt(3)), 2)
