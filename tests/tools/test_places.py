"""Places of findings: against the phantoms' truth, and where there is none to be told."""

from dataclasses import replace

import numpy as np
import pytest

from overread.imaging.phantoms import generate
from overread.imaging.phantoms.words import LOCATIONS
from overread.imaging.study import Mask
from overread.tools.places import place_of
from tests.tools.conftest import image_of


@pytest.mark.parametrize(("domain", "name"), sorted(LOCATIONS))
def test_the_place_is_the_truth_s(domain: str, name: str) -> None:
    seen = 0
    for patient in range(400):
        phantom = generate(domain, patient)
        finding = next((f for f in phantom.findings if f.name == name), None)
        if finding is None or name not in phantom.masks:
            continue
        told = place_of(image_of(phantom), name, phantom.masks[name], phantom.masks.get)
        assert told == finding.location
        seen += 1
        if seen == 4:
            return
    raise AssertionError(f"too few {domain} phantoms with {name}")


def one_pixel(shape: tuple[int, int], row: int, column: int) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    mask[row, column] = True
    return mask


def test_without_an_outline_a_view_or_a_rule_no_place_is_told() -> None:
    image = image_of(generate("chest-xray", 1))
    spot = one_pixel(image.shape, 10, 10)
    lungs = {"left lung": np.ones(image.shape, bool)}.get
    assert place_of(image, "nodule", spot, lungs) == "upper zone"
    assert place_of(image, "nodule", spot, lambda name: None) is None
    assert place_of(replace(image, view=None), "nodule", spot, lungs) is None
    assert place_of(image, "effusion", spot, lungs) is None


def test_a_photograph_centred_on_the_disc_has_no_quadrants() -> None:
    image = image_of(generate("fundus", 1))
    rows, columns = image.shape
    spot = one_pixel(image.shape, rows // 4, columns // 4)
    middle = one_pixel(image.shape, rows // 2, columns // 2)
    right_eye = one_pixel(image.shape, rows // 2, int(columns * 0.9))
    assert place_of(image, "exudate", spot, lambda name: middle) is None
    assert place_of(image, "exudate", spot, lambda name: right_eye) == "superotemporal"


def test_an_organ_that_leaves_the_cyst_out_still_holds_it() -> None:
    phantom = generate("abdomen-ct", 1)
    cyst = np.zeros(phantom.masks["liver"].shape, dtype=bool)
    rows, columns = np.nonzero(phantom.masks["liver"])
    cyst[
        int(rows.mean()) - 3 : int(rows.mean()) + 3, int(columns.mean()) : int(columns.mean()) + 6
    ] = 1
    liver = phantom.masks["liver"] & ~cyst
    assert place_of(image_of(phantom), "cyst", cyst, {"liver": liver}.get) == "liver"
    assert place_of(image_of(phantom), "cyst", cyst, {"left kidney": cyst & False}.get) is None
