import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import regionprops

from overread.imaging.phantoms import DOMAINS, generate
from overread.tools import geometry
from overread.tools.geometry import EmptyMaskError

masks = arrays(np.bool_, (9, 12)).filter(np.any)
spacings = st.floats(0.05, 2.0)


def box(rows: slice, columns: slice, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_a_rectangle_has_hand_computed_sizes() -> None:
    mask = box(slice(10, 30), slice(5, 45))  # 20 rows of 0.5 mm, 40 columns of 0.25 mm
    assert geometry.area(mask, (0.5, 0.25)) == 100.0
    assert geometry.extent(mask, (0.5, 0.25)) == (10.0, 10.0)
    assert geometry.centroid(mask) == (19.5, 24.5)
    assert geometry.box_around(mask) == (5, 10, 44, 29)


def test_axes_of_one_pixel_and_of_bars() -> None:
    pixel = box(slice(3, 4), slice(3, 4))
    assert geometry.axes(pixel) == pytest.approx((1.0, 1.0))
    assert geometry.axes(pixel, (2.0, 0.5)) == pytest.approx((2.0, 0.5))
    bar = box(slice(3, 4), slice(0, 40))
    assert geometry.axes(bar) == geometry.axes(bar.T) == pytest.approx((40.0, 1.0), abs=0.01)
    assert geometry.axes(bar, (2.0, 0.5)) == pytest.approx((20.0, 2.0), abs=0.12)
    slant = np.eye(40, dtype=bool)  # joined at the corners of its pixels
    assert geometry.axes(slant) == pytest.approx(
        (39 * math.sqrt(2) + 0.7, math.sqrt(0.5)), abs=0.02
    )


ROWS, COLUMNS = np.mgrid[:200, :200]
AWAY = np.hypot(ROWS - 100, COLUMNS - 100)
RING = (AWAY < 80) & (AWAY > 70)

SHAPES = {
    "rectangle": (
        box(slice(60, 140), slice(90, 110), (200, 200)),
        math.hypot(80, 20),
        20 / math.cos(math.atan(20 / 80)),
    ),
    # Two legs of 120: the hypotenuse and the height upon it.
    "triangle": (
        (ROWS >= 40) & (ROWS < 160) & (COLUMNS >= 40) & (COLUMNS < ROWS),
        120 * math.sqrt(2),
        120 / math.sqrt(2),
    ),
    # From tip to tip; across it, upright from a tip's inner corner.
    "crescent": (
        RING & (ROWS < 70),
        2 * math.sqrt(80**2 - 30**2),
        math.sqrt(80**2 - (70**2 - 30**2)) - 30,
    ),
    "ring": (RING, 160.0, 160.0),  # the hole ends no chord
}


@pytest.mark.parametrize(("mask", "long", "short"), SHAPES.values(), ids=SHAPES)
def test_axes_are_chords_of_the_shape(mask: np.ndarray, long: float, short: float) -> None:
    found = geometry.axes(mask)
    assert found == pytest.approx((long, short), abs=2.5)
    for turns in (1, 2, 3):
        assert geometry.axes(np.rot90(mask, turns)) == pytest.approx(found)


def test_the_short_axis_does_not_cross_a_hollow() -> None:
    """Half a ring of 10 is 80 high; its longest chord upright touches the inner circle."""
    short = geometry.axes(RING & (ROWS < 100))[1]
    assert math.sqrt(80**2 - 70**2) - 1 < short < math.sqrt(80**2 - 70**2) + 5


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (2.0, 0.5), (0.4, 1.1)])
@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90])
def test_axes_of_an_ellipse_in_mm(degrees: int, spacing: tuple[float, float]) -> None:
    down, across = np.mgrid[-60:61, -200:201] * np.reshape(spacing, (2, 1, 1))
    turn = np.deg2rad(degrees)
    along = across * np.cos(turn) + down * np.sin(turn)
    aside = down * np.cos(turn) - across * np.sin(turn)
    long, short = geometry.axes((along / 22) ** 2 + (aside / 12) ** 2 <= 1, spacing)
    assert (long, short) == pytest.approx((44, 24), abs=1.01 * max(spacing))


@given(masks)
def test_long_axis_is_the_reference_implementation_s(mask: np.ndarray) -> None:
    region = geometry.largest_region(mask)
    reference = regionprops(region.astype(int))[0].feret_diameter_max
    assert geometry.axes(mask)[0] == pytest.approx(reference, abs=1e-6)


@given(masks, spacings, spacings)
def test_sizes_scale_and_mirror(mask: np.ndarray, row: float, column: float) -> None:
    sizes = np.sort(np.bincount(ndimage.label(mask, np.ones((3, 3)))[0].ravel())[1:])
    assume(len(sizes) < 2 or sizes[-1] > sizes[-2])  # of two equal regions either is the largest
    long, short = geometry.axes(mask, (row, column))
    assert short <= long + 1e-9
    assert geometry.axes(mask[:, ::-1], (row, column))[0] == pytest.approx(long)
    doubled = geometry.axes(mask, (2 * row, 2 * column))
    assert doubled == pytest.approx((2 * long, 2 * short))
    assert geometry.area(mask.T, (column, row)) == pytest.approx(geometry.area(mask, (row, column)))
    height, width = geometry.extent(mask, (row, column))
    assert geometry.extent(mask.T, (column, row)) == (width, height)


def test_only_the_largest_region_has_axes() -> None:
    mask = box(slice(0, 2), slice(0, 2)) | box(slice(40, 50), slice(60, 61))
    assert geometry.regions(mask) == 2
    assert geometry.axes(mask)[0] == pytest.approx(10, abs=0.06)


def test_regions_that_touch_at_a_corner_are_one() -> None:
    assert geometry.regions(np.eye(4, dtype=bool)) == 1


def test_distance_is_the_shortest_one_in_mm() -> None:
    left, right = box(slice(0, 60), slice(0, 10)), box(slice(20, 30), slice(19, 25))
    assert geometry.distance(left, right, (1.0, 0.5)) == 5.0
    assert geometry.distance(left, left) == 0.0


def test_midline_shift_counts_columns_to_the_right_as_positive() -> None:
    brain = box(slice(0, 60), slice(10, 70))
    assert geometry.midline_shift(brain, box(slice(20, 30), slice(35, 45)), (1, 0.5)) == 0.0
    assert geometry.midline_shift(brain, box(slice(20, 30), slice(45, 55)), (1, 0.5)) == 5.0
    assert geometry.midline_shift(brain, box(slice(20, 30), slice(25, 35)), (1, 0.5)) == -5.0


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        (5, 5, "upper left"),
        (5, 40, "upper centre"),
        (30, 75, "centre right"),
        (30, 40, "centre"),
        (55, 40, "lower centre"),
        (55, 75, "lower right"),
    ],
)
def test_picture_position(row: int, column: int, words: str) -> None:
    assert geometry.picture_position(box(slice(row, row + 1), slice(column, column + 1))) == words


def test_an_empty_mask_has_no_size_or_place() -> None:
    empty = np.zeros((4, 4), bool)
    some = np.ones((4, 4), bool)
    for measure in (
        geometry.axes,
        geometry.extent,
        geometry.centroid,
        geometry.picture_position,
        geometry.largest_region,
        geometry.box_around,
        lambda mask: geometry.distance(mask, some),
        lambda mask: geometry.distance(some, mask),
        lambda mask: geometry.midline_shift(mask, some),
        lambda mask: geometry.midline_shift(some, mask),
    ):
        with pytest.raises(EmptyMaskError):
            measure(empty)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(DOMAINS)), st.integers(0, 500))
def test_sizes_agree_with_the_phantoms_own_truth(domain: str, patient: int) -> None:
    """Phantoms are measured by other code; the two must agree to a tenth of a mm."""
    phantom = generate(domain, patient)
    for finding in phantom.findings:
        if finding.name in phantom.masks and finding.size_mm is not None:
            mask = phantom.masks[finding.name]
            measured = geometry.axes(mask, phantom.spacing_mm)[0]
            assert measured == pytest.approx(finding.size_mm, abs=0.1), (domain, patient)
