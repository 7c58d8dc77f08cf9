"""Means of pixel values, and how sure they are, whatever their unit and wherever they count from."""

import math
from dataclasses import replace

import numpy as np
import pytest

from overread.imaging.phantoms import generate
from tests.tools.conftest import MakeContext, image_of
from tests.tools.test_quantify import call


def test_hounsfield_units_of_a_box_and_of_a_structure(make_context: MakeContext) -> None:
    phantom = generate("abdomen-ct", 5)
    pixels = np.array(phantom.pixels, np.float32)
    pixels[10:20, 30:40] = 40.0
    pixels[10:20, 30:35] = 60.0
    context = make_context(phantom, images=[replace(image_of(phantom), pixels=pixels)])
    reply = call(context, quantity="intensity", box=[30, 10, 39, 19])
    values = reply.artifact.values
    assert (values["value"], values["deviation"], values["pixels"]) == (50.0, 10.0, 100)
    assert (values["unit"], values["error"]) == ("HU", 1.0)
    liver = call(context, quantity="intensity", target="liver").artifact.values
    truth = pixels[phantom.masks["liver"]]
    assert liver["value"] == pytest.approx(truth.mean(), abs=0.06)
    assert (liver["pixels"], liver["target"]) == (truth.size, "liver")


def test_a_mean_near_water_is_as_sure_as_another(make_context: MakeContext) -> None:
    """What a mean may be off is told by its error, not by how near to nought it lies."""
    phantom = generate("abdomen-ct", 5)
    noise = np.random.default_rng(0).normal(0, 20, phantom.pixels.shape).astype(np.float32)
    sure = []
    for mean in (0.0, 50.0, -700.0):
        picture = replace(image_of(phantom), pixels=noise + np.float32(mean))
        reply = call(make_context(phantom, images=[picture]), quantity="intensity")
        assert reply.artifact.values["value"] == pytest.approx(mean, abs=1.0)
        sure.append(reply.artifact.confidence)
    assert sure == [1.0, 1.0, 1.0]
    few = call(
        make_context(phantom, images=[replace(image_of(phantom), pixels=noise)]),
        quantity="intensity",
        box=[0, 0, 1, 1],
    )
    error = few.artifact.values["deviation"] / 2
    assert few.artifact.confidence == pytest.approx(math.erf(5 / error / math.sqrt(2)), abs=0.01)


def test_grey_values_may_be_counted_from_anywhere_in_any_unit(make_context: MakeContext) -> None:
    phantom = generate("brain-mr", 5)
    noise = np.random.default_rng(0).normal(0, 20, phantom.pixels.shape)
    sure = []
    for offset, unit in ((0.0, 1.0), (-400.0, 1.0), (3.0, 0.01)):
        picture = replace(image_of(phantom), pixels=(noise * unit + offset).astype(np.float32))
        context = make_context(phantom, images=[picture])
        sure.append(call(context, quantity="intensity", box=[60, 60, 63, 63]).artifact.confidence)
    assert 0.3 < sure[0] < 0.8 and sure == [sure[0]] * 3
