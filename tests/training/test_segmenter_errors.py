"""What measurements by the bundled segmenter are usually off, on a few phantoms."""

import math

import pytest

from overread.training.segmenter_errors import share, shares


def test_a_share_fills_what_the_stated_error_lacks() -> None:
    lacking = share(5.0, 3.0, 20.0)
    assert math.hypot(3.0, lacking * 20.0) == pytest.approx(5.0)
    assert share(2.0, 3.0, 20.0) == 0.0


def test_each_target_has_the_kinds_of_error_that_it_can_have() -> None:
    found = shares(7)
    assert set(found["ventricles"]) == {"length", "area", "shift"}
    assert set(found["nuclei"]) == {"length", "area", "count"}
    assert set(found["thorax"]) == {"length", "area"}
    assert len(found["thorax"]["length"]) == 4  # two axes, width and height
    assert all(0 <= value < 0.2 for value in found["thorax"]["length"])
