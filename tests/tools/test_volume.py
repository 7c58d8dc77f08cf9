"""Volumes of balls, whose truth is a formula, over even and uneven slices."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.study import Image, ImageRef, Plane, Series, Spacing, Study
from overread.tools.segmenter import Segmentation
from overread.tools.volume import UnevenSlices, Volume, added, followed_volume

RADIUS, MIDDLE, STEP = 20.0, 25.0, 2.5
TRUTH = 4 / 3 * math.pi * RADIUS**3 / 1000
EVEN = tuple(np.arange(0.0, 50.1, STEP))
NORMAL = np.array([0.6, 0.0, 0.8])


def plane(height: float) -> Plane:
    """Return an oblique plane at a height along `NORMAL`, whose origin moves along it, too."""
    x, y, z = height * NORMAL + height * 0.3 * np.array([0.8, 0.0, -0.6])
    return Plane((float(x), float(y), float(z)), (0.8, 0.0, -0.6), (0.0, 1.0, 0.0), "f")


def ball(
    heights: Sequence[float],
    spacing: Spacing = (0.7, 0.7),
    *,
    placed: bool = True,
    radius: float = RADIUS,
) -> list[tuple[Image, Segmentation]]:
    """Return slices of a ball at given heights, each of other pixels, with their outlines."""
    size = [math.ceil(2.2 * radius / one) for one in spacing]
    rows, columns = np.mgrid[: size[0], : size[1]]
    away = np.hypot(
        (rows - size[0] / 2) * spacing[0],
        (columns - size[1] / 2) * spacing[1],
    )
    slices = []
    for number, height in enumerate(heights):
        mask = away**2 < radius**2 - (height - MIDDLE) ** 2
        image = Image(
            ImageRef("st", "s0", f"i{number}"),
            (100 * mask + number / 100).astype(np.float32),
            "CT",
            spacing,
            plane=plane(height) if placed else None,
        )
        slices.append((image, Segmentation(mask, mask.astype(np.float32), bool(mask.any()), 0.9)))
    return slices


def measured(slices: list[tuple[Image, Segmentation]], step: float = STEP) -> Volume:
    return added(slices, step, "cyst")


def without(*heights: float) -> list[float]:
    return [height for height in EVEN if height not in heights]


def test_even_slices_count_as_those_of_a_regular_grid() -> None:
    placed, grid = (measured(ball(EVEN, placed=known)) for known in (True, False))
    assert placed.measured.value == pytest.approx(TRUTH, rel=0.01)
    assert placed.measured.value == pytest.approx(grid.measured.value)
    assert placed.measured.error == pytest.approx(grid.measured.error)
    assert (placed.slices, placed.of) == (grid.slices, grid.of) == (15, 21)


@pytest.mark.parametrize("spacing", [(2.0, 0.5), (0.5, 2.0)])
def test_pixels_need_not_be_square(spacing: Spacing) -> None:
    found = measured(ball(EVEN, spacing)).measured
    assert found.value == pytest.approx(TRUTH, rel=0.015)
    assert abs(found.value - TRUTH) < 2 * found.error


def test_thick_and_thin_slices_count_as_what_they_are() -> None:
    thin, thick = np.arange(0.0, 25.0, 2.0), np.arange(25.0, 50.1, 2.9)
    found = measured(ball([*thin, *thick]), step=2.0).measured
    assert found.value == pytest.approx(TRUTH, rel=0.015)
    assert abs(found.value - TRUTH) < 2 * found.error < 0.03 * TRUTH


def test_the_error_is_honest_of_uneven_slices() -> None:
    rng = np.random.default_rng(0)
    off = []
    for _ in range(60):
        radius = rng.uniform(10, 20)
        heights = np.cumsum(rng.uniform(0.8, 1.2, 60)) * STEP - 40
        found = measured(ball(heights, (1.0, 1.0), radius=radius)).measured
        off.append(abs(found.value - 4 / 3 * math.pi * radius**3 / 1000) / found.error)
    assert np.mean(np.array(off) < 1) > 0.6 and np.mean(np.array(off) < 2) > 0.93


@pytest.mark.parametrize(
    ("gone", "numbers", "way"),
    [
        ((25.0,), "10 and 11", "5 mm"),
        ((17.5, 20.0, 22.5, 25.0, 27.5), "7 and 8", "15 mm"),
        ((5.0,), "2 and 3", "5 mm"),  # outside, but the ball may reach into it
        ((45.0,), "18 and 19", "5 mm"),
    ],
)
def test_a_gap_in_the_structure_is_refused(gone: tuple[float, ...], numbers: str, way: str) -> None:
    with pytest.raises(UnevenSlices) as refused:
        measured(ball(without(*gone)))
    assert str(refused.value) == (
        f"slices {numbers} of the series are {way} apart, the others 2.5 mm, "
        "so the volume of cyst between them is not known"
    )


def test_a_gap_elsewhere_changes_nothing() -> None:
    whole, gap = measured(ball(EVEN)), measured(ball(without(2.5, 47.5)))
    assert gap.measured.value == pytest.approx(whole.measured.value)
    assert gap.measured.error == pytest.approx(whole.measured.error)


def test_a_slice_that_is_there_twice_counts_once() -> None:
    once, slices = ball(EVEN), ball(EVEN)
    twice = [one for one in slices for _ in range(2)]
    assert measured(twice) == measured(once)


def test_phases_in_one_series_are_refused_where_the_structure_lies() -> None:
    twice = sorted([*EVEN, 25.0])
    with pytest.raises(UnevenSlices, match=r"slices 11 and 12 .* lie in one place and differ"):
        measured(ball(twice))
    elsewhere = measured(ball([0.0, *EVEN])).measured
    assert elsewhere.value == pytest.approx(measured(ball(EVEN)).measured.value)


def test_what_areas_are_usually_off_widens_the_error() -> None:
    slices = ball(EVEN)
    usual = [(image, replace(found, errors={"area": 0.1})) for image, found in slices]
    bare, full = measured(slices).measured, measured(usual).measured
    areas = [found.mask.sum() * 0.7**2 for _, found in slices]
    expected = 0.1 * np.linalg.norm(areas) * STEP / 1000
    assert full.error == pytest.approx(math.hypot(bare.error, expected))


def test_two_slices_left_of_a_series_are_not_more_than_they_are() -> None:
    found = measured(ball([22.5, 25.0]))
    areas = [math.pi * (RADIUS**2 - (height - MIDDLE) ** 2) for height in (22.5, 25.0)]
    assert found.measured.value == pytest.approx(sum(areas) * STEP / 1000, rel=0.01)


def test_what_is_nowhere_has_no_volume() -> None:
    with pytest.raises(InputError, match="no cyst found in the 2 slices"):
        measured(ball([0.0, 50.0]))


class Again:
    """Finds the bright disc of any slice."""

    version, targets, any_words = "again 1", (), False

    def segment(self, image: Image, target: str | None = None, **given: object) -> Segmentation:
        pixels = np.asarray(image.pixels)
        mask = pixels > pixels.min()
        return Segmentation(mask, mask.astype(np.float32), bool(mask.any()), 0.9)


def test_an_outline_that_is_carried_over_a_gap_has_no_volume(archive: Archive) -> None:
    for name, heights in (("whole", EVEN), ("gap", without(32.5))):
        slices = ball(heights)
        series = Series(name, "CT", tuple(image for image, _ in slices), slice_spacing_mm=STEP)
        images = tuple(
            replace(image, ref=replace(image.ref, series=name)) for image in series.images
        )
        archive.add([Study("st", "p", (replace(series, images=images),))])
    first = ball(EVEN)[10][1].mask
    found = followed_volume(archive, Again(), ImageRef("st", "whole", "i10"), first)
    assert found.measured.value == pytest.approx(TRUTH, rel=0.01)
    with pytest.raises(UnevenSlices, match="volume of outline"):
        followed_volume(archive, Again(), ImageRef("st", "gap", "i10"), first)
