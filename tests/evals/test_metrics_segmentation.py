"""MONAI's figures against distances by SciPy, and the choices for empty masks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from overread.evals.metrics.segmentation import Spacing, dice, hd95, iou, nsd, worst_distance_mm
from overread.imaging.errors import InputError
from overread.imaging.study import Mask

masks = arrays(np.bool_, (6, 8))
spacings = st.tuples(st.sampled_from([0.2, 0.5, 1.0, 2.5]), st.sampled_from([0.3, 0.5, 1.0, 4.0]))


def drawn(*rows: str) -> Mask:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def disc(radius: float, row: float = 32, column: float = 32) -> Mask:
    rows, columns = np.mgrid[:64, :64]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


SQUARE = drawn("......", ".##...", ".##...", "......")
# mask, truth, (between rows, between columns), tolerance -> dice, iou, hd95 mm, nsd; all by hand
TABLE = {
    "the same": (SQUARE, SQUARE, (1, 1), 0, 1, 1, 0, 1),
    "one column aside": (SQUARE, np.roll(SQUARE, 1, 1), (1, 1), 0, 0.5, 1 / 3, 1, 0.5),
    "one column aside, within tolerance": (
        SQUARE, np.roll(SQUARE, 1, 1), (1, 1), 1, 0.5, 1 / 3, 1, 1,
    ),
    "one column aside, columns of 0.5 mm": (
        SQUARE, np.roll(SQUARE, 1, 1), (3, 0.5), 0.4, 0.5, 1 / 3, 0.5, 0.5,
    ),
    "one row aside, rows of 3 mm": (
        SQUARE, np.roll(SQUARE, 1, 0), (3, 0.5), 0.5, 0.5, 1 / 3, 3, 0.5,
    ),
    "apart": (SQUARE, np.roll(SQUARE, 3, 1), (1, 1), 2, 0, 0, 3, 0.5),
    "half of it": (
        drawn("......", ".##...", "......", "......"), SQUARE, (1, 1), 0, 2 / 3, 0.5, 1, 4 / 6,
    ),
    "single pixels, 3-4-5": (
        drawn("#....", ".....", ".....", "....."), drawn(".....", ".....", ".....", "....#"),
        (1, 1), 4, 0, 0, 5, 0,
    ),
    "single pixels, tolerated": (
        drawn("#....", ".....", ".....", "....."), drawn(".....", ".....", ".....", "....#"),
        (1, 1), 5, 0, 0, 5, 1,
    ),
    "both empty": (drawn("...", "..."), drawn("...", "..."), (1, 1), 0, 1, 1, 0, 1),
    "missed": (drawn("....", "....", "...."), drawn("#...", "....", "...."), (1, 1), 9, 0, 0, 5, 0),
    "made up": (drawn("#...", "....", "...."), drawn("....", "....", "...."), (2, 2), 9, 0, 0, 10, 0),
    "all of the picture": (
        np.ones((3, 4), bool), np.ones((3, 4), bool), (1, 1), 0, 1, 1, 0, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("mask", "truth", "spacing", "tolerance", "d", "i", "h", "n"), TABLE.values(), ids=TABLE
)
def test_hand_computed_table(
    mask: Mask, truth: Mask, spacing: Spacing, tolerance: float, d: float, i: float, h: float,
    n: float,
) -> None:  # fmt: skip
    assert dice(mask, truth) == pytest.approx(d)
    assert iou(mask, truth) == pytest.approx(i)
    assert hd95(mask, truth, spacing) == pytest.approx(h)
    assert nsd(mask, truth, spacing, tolerance) == pytest.approx(n)


def outline_distances(mask: Mask, truth: Mask, spacing: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances both ways, by SciPy's exact distance transform."""
    first, second = (m & ~ndimage.binary_erosion(m) for m in (mask, truth))
    to_first, to_second = (
        ndimage.distance_transform_edt(~outline, sampling=spacing) for outline in (first, second)
    )
    return to_second[first], to_first[second]


@given(masks.filter(np.any), masks.filter(np.any), spacings, st.sampled_from([0.1, 0.7, 2.2]))
@settings(max_examples=40, deadline=None)
def test_distances_match_scipy(mask: Mask, truth: Mask, spacing: Spacing, tolerance: float) -> None:
    there, back = outline_distances(mask, truth, spacing)
    worse = max(np.quantile(there, 0.95), np.quantile(back, 0.95))
    assert hd95(mask, truth, spacing) == pytest.approx(worse, abs=1e-5)
    near = (np.concatenate([there, back]) <= tolerance).mean()
    assert nsd(mask, truth, spacing, tolerance) == pytest.approx(near, abs=1e-6)


@pytest.mark.parametrize("grown", [1, 2, 4, 8])
def test_discs_of_known_radius(grown: int) -> None:
    assert hd95(disc(12 + grown), disc(12), (0.5, 0.5)) == pytest.approx(grown / 2, abs=0.3)
    area = (12 / (12 + grown)) ** 2
    assert iou(disc(12), disc(12 + grown)) == pytest.approx(area, abs=0.03)


@given(masks, masks, spacings)
@settings(max_examples=40, deadline=None)
def test_figures_are_symmetric_bounded_and_agree(mask: Mask, truth: Mask, spacing: Spacing) -> None:
    overlap = dice(mask, truth)
    assert overlap == dice(truth, mask) == pytest.approx(2 * (i := iou(mask, truth)) / (1 + i))
    assert 0 <= overlap <= 1
    assert 0 <= nsd(mask, truth, spacing, 0.5) <= 1
    distance = hd95(mask, truth, spacing)
    assert distance == hd95(truth, mask, spacing)
    assert 0 <= distance <= worst_distance_mm(mask.shape, spacing)
    assert hd95(mask, mask, spacing) == 0


def test_an_empty_mask_is_never_better_than_a_bad_one() -> None:
    truth, bad, none = disc(5), disc(3, 2, 2), np.zeros((64, 64), bool)
    assert hd95(none, truth, (1, 1)) == math.hypot(64, 64) > hd95(bad, truth, (1, 1))
    assert dice(none, truth) <= dice(bad, truth)


def test_unusable_input_is_named() -> None:
    good = np.ones((2, 2), bool)
    with pytest.raises(InputError, match="mask is uint8"):
        dice(good.astype(np.uint8), good)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="reference mask is bool of shape"):
        iou(good, np.ones((1, 2, 2), bool))
    with pytest.raises(InputError, match=r"\(2, 2\) and its reference \(2, 3\)"):
        dice(good, np.ones((2, 3), bool))
    with pytest.raises(InputError, match="spacing"):
        hd95(good, good, (1.0, 0.0))
    with pytest.raises(InputError, match="tolerance"):
        nsd(good, good, (1.0, 1.0), -1.0)
