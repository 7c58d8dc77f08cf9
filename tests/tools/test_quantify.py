"""Measurements against shapes of known size: within the stated error, and exact on phantoms."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overread.imaging.archive import Archive
from overread.imaging.phantoms import Phantom, generate
from overread.imaging.study import Image, ImageRef, Mask, Series, Study
from overread.tools import geometry, measure
from overread.tools.base import ToolContext
from overread.tools.quantify import build
from overread.tools.segmenter import Segmentation
from overread.tools.uncertainty import area_error, length_error, with_error
from overread.tools.volume import volume
from tests.tools.conftest import MakeContext, TruthSegmenter, image_of

# Largest differences from the true value: one pixel for a length, 2 % for an area or a volume of
# more than 20 pixels across.
LENGTH_PIXELS, AREA, VOLUME = 1.0, 0.02, 0.02


def call(context: ToolContext, **args: object):
    request = {"type": "tool_call", "id": "1", "name": "quantify", "args": {"image": 1} | args}
    return build(context).invoke(request)


def ellipse(semi: tuple[float, float], centre: tuple[float, float], size: int = 128) -> Mask:
    rows, columns = np.mgrid[:size, :size]
    return ((rows - centre[0]) / semi[0]) ** 2 + ((columns - centre[1]) / semi[1]) ** 2 <= 1


@settings(max_examples=40)
@given(st.floats(14, 45), st.floats(14, 45), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_ellipses_are_measured_within_the_stated_tolerance(
    down: float, across: float, y: float, x: float
) -> None:
    mask = ellipse((down, across), (64 + y, 64 + x))
    found = Segmentation(mask, mask.astype(np.float32), True, 0.9)
    spacing = (0.5, 0.5)
    grid = area_error(mask, spacing)
    area = with_error(found, lambda m: geometry.area(m, spacing), grid)
    truth = math.pi * down * across * 0.25
    assert area.value == pytest.approx(truth, rel=AREA)
    assert abs(area.value - truth) < 4 * area.error
    long = with_error(found, lambda m: geometry.axes(m, spacing)[0], length_error(spacing))
    assert abs(long.value - max(down, across)) <= LENGTH_PIXELS * 0.5
    assert abs(long.value - max(down, across)) <= 3 * long.error


def test_doubt_about_the_border_widens_the_error() -> None:
    rows, columns = np.mgrid[:64, :64]
    away = np.hypot(rows - 32, columns - 32)
    sharp = np.clip((20.5 - away) * 100, 0, 1).astype(np.float32)
    soft = np.clip(0.5 + (20.5 - away) / 10, 0, 1).astype(np.float32)
    errors = [
        with_error(Segmentation(p >= 0.5, p, True, 1.0), lambda m: geometry.extent(m)[0], 0.4).error
        for p in (sharp, soft)
    ]
    assert errors[0] == pytest.approx(0.4) and errors[1] == pytest.approx(math.hypot(4.0, 0.4))


@dataclass
class BallSegmenter:
    """Finds a ball of known radius in every slice, by the number of the slice."""

    radius_mm: float
    centre: int
    step: float
    spacing: float
    version: str = "ball 1"
    targets: tuple[str, ...] = ("nodule",)
    any_words: bool = False

    def segment(self, image: Image, target: str | None = None, **_: object) -> Segmentation:
        height = (int(image.ref.instance[1:]) - self.centre) * self.step
        square = self.radius_mm**2 - height**2
        mask = np.zeros(image.shape, bool)
        if square > 0:
            radius = math.sqrt(square) / self.spacing
            mask = ellipse((radius, radius), (31.7, 32.2), 64)
        return Segmentation(mask, mask.astype(np.float32), bool(mask.any()), 0.9)


def stack(archive: Archive, slices: int, step: float | None, spacing: float | None = 0.6) -> Study:
    images = tuple(
        Image(
            ImageRef("st-1", "s0", f"i{n}"),
            np.full((64, 64), n, np.float32),
            "CT",
            None if spacing is None else (spacing, spacing),
        )
        for n in range(slices)
    )
    study = Study("st-1", "pt-1", (Series("s0", "CT", images, slice_spacing_mm=step),))
    archive.add([study])
    return study


@pytest.mark.parametrize(("radius", "step"), [(12.0, 1.0), (15.3, 1.5), (9.7, 0.8)])
def test_a_balls_volume(archive: Archive, radius: float, step: float) -> None:
    study = stack(archive, 40, step)
    ball = BallSegmenter(radius, 20, step, 0.6)
    found = volume(archive, ball, study.images[0].ref, "nodule")
    truth = 4 / 3 * math.pi * radius**3 / 1000
    assert found.measured.value == pytest.approx(truth, rel=VOLUME)
    assert abs(found.measured.value - truth) < 3 * found.measured.error < 0.06 * truth
    assert found.of == 40 and found.slices == 2 * math.ceil(radius / step) - 1


@pytest.mark.parametrize(
    ("slices", "step", "spacing", "reason"),
    [
        (1, 1.0, 0.6, "needs a series of slices"),
        (5, None, 0.6, "needs a series of slices"),
        (30, 1.0, None, "pixel size is known"),
        (3, 1.0, 0.6, "no nodule found in the 3 slices"),
    ],
)
def test_no_volume_without_geometry(
    archive: Archive, slices: int, step: float | None, spacing: float | None, reason: str
) -> None:
    study = stack(archive, slices, step, spacing)
    with pytest.raises(Exception, match=reason):
        volume(archive, BallSegmenter(5.0, 20, 1.0, 0.6), study.images[0].ref, "nodule")


@pytest.mark.parametrize(
    ("domain", "target", "quantity"),
    [
        ("chest-xray", "heart", "width_ratio"),
        ("fundus", "optic cup", "height_ratio"),
        ("brain-mr", "ventricles", "midline_shift"),
    ],
)
def test_it_agrees_with_measure(
    make_context: MakeContext, domain: str, target: str, quantity: str
) -> None:
    context = make_context(generate(domain, 5))
    args = {"image": 1, "target": target, "quantity": quantity}
    request = {"type": "tool_call", "id": "1", "name": "measure", "args": args}
    old = measure.build(context).invoke(request)
    new = call(context, target=target, quantity=quantity)
    assert new.artifact.values["value"] == old.artifact.values["value"]
    assert new.artifact.values["unit"] == old.artifact.values["unit"]
    assert 0 < new.artifact.values["error"] < 2 and "±" in new.content


def test_diameters_of_a_nodule_match_the_phantoms_truth(make_context: MakeContext) -> None:
    checked = 0
    for patient in range(40):
        phantom = generate("chest-ct", patient)
        finding = next((f for f in phantom.findings if f.name == "nodule"), None)
        if finding is None or finding.size_mm is None:
            continue
        values = call(make_context(phantom), target="nodule", quantity="diameters").artifact.values
        assert values["unit"] == "mm" and values["short_axis"] <= values["value"]
        assert values["value"] == pytest.approx(finding.size_mm, abs=0.11)
        checked += 1
    assert checked > 5


class Doubtful(TruthSegmenter):
    """Is unsure whether one structure reaches so many columns further to the right."""

    doubtful: str
    further: int

    def segment(self, image: Image, target: str | None = None, **given: object) -> Segmentation:
        found = super().segment(image, target)
        if target == self.doubtful:
            further = 0.4 * np.roll(found.probability, self.further, axis=1)
            found = replace(found, probability=np.maximum(found.probability, further))
        return found


def unsure_of(phantom: Phantom, target: str, further: int) -> Doubtful:
    segmenter = Doubtful({phantom.study_id: phantom.masks})
    segmenter.doubtful, segmenter.further = target, further
    return segmenter


@pytest.mark.parametrize(
    ("domain", "quantity", "first", "second"),
    [
        ("abdomen-ct", "distance", "liver", "spleen"),
        ("brain-mr", "midline_shift", "ventricles", "brain"),
    ],
)
def test_the_error_counts_the_doubt_about_either_structure(
    make_context: MakeContext, domain: str, quantity: str, first: str, second: str
) -> None:
    phantom = generate(domain, 5)
    args = {"image": 1, "quantity": quantity, "target": first, "reference": second}
    errors = []
    for doubt in (("", 0), (first, 15), (second, -15)):
        context = make_context(phantom, segmenter=lambda d=doubt: unsure_of(phantom, *d))
        request = {"type": "tool_call", "id": "1", "name": "measure", "args": args}
        old, new = measure.build(context).invoke(request), call(context, **args)
        assert new.artifact.values["error"] == old.artifact.values["error"]
        assert new.artifact.confidence == old.artifact.confidence
        errors.append(new.artifact.values["error"])
    sure, of_first, of_second = errors
    assert of_first > 1.2 * sure and of_second > 1.2 * sure


def test_pixels_that_are_not_square(make_context: MakeContext) -> None:
    """A slab of 30 rows of 2 mm and 80 columns of 0.5 mm, and one of 20 by 20 pixels beside it."""
    phantom = generate("abdomen-ct", 5)
    masks = {name: np.zeros(phantom.pixels.shape, bool) for name in ("liver", "spleen")}
    masks["liver"][10:40, 5:85] = True
    masks["spleen"][20:40, 104:124] = True
    segmenter = TruthSegmenter({phantom.study_id: masks})
    image = replace(image_of(phantom), spacing_mm=(2.0, 0.5))
    context = make_context(phantom, images=[image], segmenter=lambda: segmenter)
    expected = {
        "area": (30 * 2 * 80 * 0.5, "mm2"),
        "distance": (20 * 0.5, "mm"),
        "width_ratio": (4.0, ""),
        "height_ratio": (1.5, ""),
    }
    args = {"target": "liver", "reference": "spleen"}
    for quantity, truth in expected.items():
        request = {"image": 1, "quantity": quantity} | args
        request = {"type": "tool_call", "id": "1", "name": "measure", "args": request}
        for reply in (
            call(context, quantity=quantity, **args),
            measure.build(context).invoke(request),
        ):
            assert (reply.artifact.values["value"], reply.artifact.values["unit"]) == truth, (
                quantity
            )
    diameters = call(context, quantity="diameters", target="liver").artifact.values
    assert diameters["value"] == pytest.approx(math.hypot(60, 40), abs=2.0)
    assert diameters["short_axis"] == pytest.approx(40 / math.cos(math.atan(40 / 60)), abs=2.0)


def test_distance_of_points_and_structures(make_context: MakeContext) -> None:
    phantom = generate("abdomen-ct", 5)
    down, across = phantom.spacing_mm
    context = make_context(phantom)
    values = call(context, quantity="distance", points=[[10, 20], [13, 24]]).artifact.values
    assert values["value"] == pytest.approx(math.hypot(4 * down, 3 * across), abs=0.06)
    found = call(context, quantity="distance", target="liver", reference="spleen")
    truth = geometry.distance(phantom.masks["liver"], phantom.masks["spleen"], phantom.spacing_mm)
    assert found.artifact.values["value"] == pytest.approx(truth, abs=0.06)
    assert found.artifact.values["reference"] == "spleen" and found.artifact.artifacts


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"quantity": "diameters"}, "needs a structure; give it as target"),
        ({"quantity": "distance", "target": "heart"}, "give it as reference"),
        ({"quantity": "distance", "target": "heart", "reference": "heart"}, "nil"),
        ({"quantity": "distance", "points": [[0, 0], [9999, 0]]}, "outside image 1"),
        ({"quantity": "intensity", "box": [5, 5, 2, 2]}, "does not lie in image 1"),
        ({"quantity": "volume", "target": "heart"}, "needs a series of slices"),
        ({"quantity": "area", "target": "spleen"}, "no spleen found"),
        ({"quantity": "mass"}, "argument quantity"),
    ],
)
def test_what_cannot_be_measured_is_said(
    make_context: MakeContext, args: dict, reason: str
) -> None:
    reply = call(make_context(generate("chest-xray", 5)), **args)
    assert reply.status == "error" and reason in reply.content


def test_colour_has_no_intensity_and_pixels_say_so(make_context: MakeContext) -> None:
    colour = make_context(generate("fundus", 5))
    assert "colour" in call(colour, quantity="intensity").content
    phantom = generate("chest-xray", 6)
    image = replace(image_of(phantom), spacing_mm=None)
    reply = call(make_context(phantom, images=[image]), quantity="diameters", target="heart")
    assert reply.artifact.values["unit"] == "pixels"
