"""Radiomic features against values counted by hand, and where they must not change."""

import numpy as np
import pytest

from overread.evals import radiomics
from overread.imaging.phantoms import generate
from overread.imaging.study import Image, ImageRef


def image(pixels: np.ndarray, **facts: object) -> Image:
    window = (128.0, 256.0) if pixels.ndim == 2 else None
    return Image(ref=ImageRef("s", "s0", "i0"), pixels=pixels, window=window, **facts)  # type: ignore[arg-type]


def told(pixels: np.ndarray) -> dict[str, float]:
    return dict(zip(radiomics.names(), radiomics.features(image(pixels)), strict=True))


def test_a_checkerboard_of_large_fields() -> None:
    side = radiomics.SIDE
    rows, columns = np.mgrid[:side, :side]
    board = np.where((rows // 64 + columns // 64) % 2, 255.0, 0.0).astype(np.float32)
    found = told(board)
    assert found["original mean"] == pytest.approx(127.5)
    assert found["original deviation"] == pytest.approx(127.5)
    assert found["original entropy"] == pytest.approx(1.0)  # two levels, as many of each
    assert found["original uniformity"] == pytest.approx(0.5)
    # Neighbours differ only where a field ends: 3 of 255 places, across and down.
    step = (radiomics.LEVELS - 1) ** 2
    assert 0 < found["original GLCM contrast at 1"] < step * 6 / 255
    assert found["original GLCM contrast at 4"] > 3 * found["original GLCM contrast at 1"]


def test_runs_are_counted() -> None:
    lines = np.array([[0, 0, 0, 1], [5, 5, 1, 1]])
    counts = radiomics.run_lengths(lines)
    assert counts.sum() == 4
    assert counts[0, 2] == counts[1, 0] == counts[5, 1] == counts[1, 1] == 1


def test_every_pixel_is_in_one_run_of_each_direction() -> None:
    levels = np.random.default_rng(0).integers(0, radiomics.LEVELS, (5, 9)).astype(np.uint8)
    for lines in (
        levels,
        levels.T,
        radiomics._sheared(levels),
        radiomics._sheared(levels[:, ::-1]),
    ):
        counts = radiomics.run_lengths(lines)
        assert (counts * np.arange(1, counts.shape[1] + 1)).sum() == levels.size
    diagonal = np.eye(6, dtype=np.uint8)
    assert radiomics.run_lengths(radiomics._sheared(diagonal))[1].tolist() == [0, 0, 0, 0, 0, 1]


def test_flat_and_coloured_images_have_finite_features() -> None:
    flat = radiomics.features(image(np.full((40, 60), 7, np.float32)))
    colour = radiomics.features(image(generate("fundus", 3).pixels))
    assert np.isfinite(flat).all() and np.isfinite(colour).all()
    assert len(flat) == len(colour) == len(radiomics.names()) == len(set(radiomics.names()))


def test_textures_do_not_depend_on_a_mirror() -> None:
    pixels = np.asarray(generate("brain-mr", 3).pixels, np.float32)
    first, mirrored = told(pixels), told(pixels[:, ::-1])
    for name, value in first.items():
        assert mirrored[name] == pytest.approx(value, rel=0.02, abs=0.02), name
