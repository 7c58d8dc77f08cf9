import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import ellipse as draw_ellipse
from skimage.measure import regionprops

from overread.imaging.errors import InputError
from overread.imaging.phantoms import measures


def test_long_axis_of_a_rotated_rod_is_its_diagonal() -> None:
    # Two pixels on a diagonal: farthest border points are half an edge beyond each centre.
    mask = np.eye(4, dtype=bool)
    assert measures.long_axis_mm(mask, (1.0, 1.0)) == pytest.approx(np.hypot(4, 3))


@settings(max_examples=40, deadline=None)
@given(st.floats(3, 20), st.floats(3, 20), st.floats(-1.5, 1.5))
def test_long_axis_is_within_a_pixel_of_skimage(a: float, b: float, turn: float) -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[draw_ellipse(32, 32, a, b, rotation=turn)] = True
    expected = regionprops(mask.astype(int))[0].feret_diameter_max
    # skimage measures around a hull redrawn in whole pixels, which may add some.
    assert expected - 1 < measures.long_axis_mm(mask, (1.0, 1.0)) <= expected + 0.01


def test_spacing_is_rows_then_columns() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:4, 1:9] = True
    assert measures.area_mm2(mask, (2.0, 0.5)) == 16.0
    assert measures.extent_px(mask, 0) == 2 and measures.extent_px(mask, 1) == 8
    wide = measures.long_axis_mm(mask, (0.1, 1.0))
    tall = measures.long_axis_mm(mask, (4.0, 0.1))
    assert wide == pytest.approx(8, abs=0.1) and tall == pytest.approx(8, abs=0.1)


def test_the_largest_object_is_measured_and_corners_connect() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[0, 0] = mask[1, 1] = True
    mask[10:12, 5:15] = True
    assert measures.count(mask) == 2
    assert measures.long_axis_mm(mask, (1.0, 1.0)) == pytest.approx(np.hypot(10, 1))


def test_ratios_and_midline_by_hand() -> None:
    big = np.zeros((10, 21), dtype=bool)
    big[1:9, 0:20] = True
    small = np.zeros_like(big)
    small[3:5, 12:16] = True
    assert measures.width_ratio(small, big) == pytest.approx(4 / 20)
    assert measures.height_ratio(small, big) == pytest.approx(2 / 8)
    # Centroid column 13.5, middle column 9.5, 2 mm columns.
    assert measures.midline_shift_mm(small, big, (1.0, 2.0)) == pytest.approx(8.0)


@pytest.mark.parametrize("measure", [measures.largest, measures.centroid])
def test_empty_masks_are_refused(measure) -> None:
    with pytest.raises(InputError, match="empty mask"):
        measure(np.zeros((3, 3), dtype=bool))
