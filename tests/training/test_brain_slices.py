"""Slices of real brains, drawn here from a volume made up of ellipsoids where no package is needed."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from overread.imaging.errors import ConfigError
from overread.imaging.vocabulary import TARGETS
from overread.training import real_brains
from overread.training.brain_slices import brain_pool, joined, with_lesions
from overread.training.click_data import make_clicks
from overread.training.click_head import Options, main, pool_of
from overread.training.real_brains import Brain
from overread.training.segmenter_data import NAMELESS, Pool, load_pool

BRAIN, LESION = TARGETS.index("brain"), TARGETS.index("lesion")
NUMBER = 30


def ellipsoid(*radii: float) -> np.ndarray:
    places = np.indices((150, 180, 150)) - np.array([75, 90, 75])[:, None, None, None]
    return sum((place / radius) ** 2 for place, radius in zip(places, radii, strict=True)) < 1


@pytest.fixture(scope="module")
def brain() -> Brain:
    head, inner, middle = ellipsoid(72, 88, 72), ellipsoid(60, 76, 60), ellipsoid(30, 40, 30)
    values = 0.9 * head - 0.4 * inner - 0.3 * middle
    return Brain("ellipsoids", values.astype(np.float32), inner, {"middle": middle})


@pytest.fixture(scope="module")
def pool(brain: Brain) -> Pool:
    return brain_pool([brain], NUMBER, 5)


def test_masks_lie_on_what_they_name(pool: Pool) -> None:
    lesions = 0
    for index in range(NUMBER):
        masks, grey = pool.masks(index), pool.views[index, ..., 0] / 255
        inside = masks[BRAIN]
        # Radii of 60 to 76 mm, at 0.85 to 1.05 mm a pixel, and slices near the end are smaller.
        assert 2500 <= inside.sum() <= np.pi * 60 * 76 / 0.85**2 * 1.2
        assert not grey[0].any() and not grey[-1].any(), "air around the head"
        if NAMELESS in masks:
            assert not (masks[NAMELESS] & ~inside).any()
        if LESION in masks:
            lesions += 1
            assert not (masks[LESION] & ~inside).any()
    assert NUMBER / 2 < lesions < NUMBER, "some slices are without one"


def test_slices_are_reproducible_and_differ(brain: Brain, pool: Pool) -> None:
    again = brain_pool([brain], NUMBER, 5)
    assert np.array_equal(again.views, pool.views) and np.array_equal(again.packed, pool.packed)
    assert len({view.tobytes() for view in pool.views}) == NUMBER
    assert not np.array_equal(brain_pool([brain], NUMBER, 6).views, pool.views)


def test_every_lesion_can_be_seen() -> None:
    inside = np.zeros((256, 256), bool)
    inside[60:200, 50:210] = True
    plane = np.where(inside, 0.4, 0.0)
    outlined = 0
    for seed in range(60):
        painted, lesions = with_lesions(plane, inside, np.random.default_rng(seed))
        assert painted.min() >= 0 and painted.max() <= 1 and not (lesions & ~inside).any()
        labels, found = ndimage.label(lesions, np.ones((3, 3)))
        for one in range(1, found + 1):
            shape = labels == one
            around = ndimage.binary_dilation(shape, iterations=4) & ~lesions & inside
            # A later lesion's swelling may lie over an earlier lesion, so less than when painted.
            outlined += abs(painted[shape].mean() - painted[around].mean()) > 0.03
        if not lesions.any():
            assert np.abs(painted - plane).max() < 0.2, "swelling at most"
    assert outlined > 50


def test_a_joined_pool_is_learnt_from_with_both_kinds_of_picture(
    pool: Pool, tmp_path: Path
) -> None:
    phantoms = load_pool("train", 14, 3, tmp_path)
    both = joined(phantoms, pool)
    assert len(both.views) == 14 + NUMBER and len(both.scanners) == len(both.domains)
    for index in range(NUMBER):
        kept = both.masks(14 + index)
        assert kept.keys() == pool.masks(index).keys()
        assert all(np.array_equal(kept[name], mask) for name, mask in pool.masks(index).items())
    chances = both.chances()
    ill = [14 + i for i in range(NUMBER) if LESION in pool.masks(i)]
    well = [14 + i for i in range(NUMBER) if LESION not in pool.masks(i)]
    assert chances.sum() == pytest.approx(1) and chances[ill].min() > chances[well].max()
    batch = make_clicks(both, np.array([0, 20, 21]), np.random.default_rng(0), 192, 4, 3)
    assert batch.view.shape == (3, 3, 192, 192) and len(batch.sessions) == 12
    assert batch.truth.sum((1, 2)).min() > 0


def test_absent_and_other_packages_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"ch2\.nii\.gz is not there: install the package"):
        real_brains.colin27(tmp_path)
    (tmp_path / "ch2.nii.gz").write_bytes(b"something else")
    with pytest.raises(ConfigError, match="another version than the recipe was run on"):
        real_brains.colin27(tmp_path)
    monkeypatch.setattr(real_brains, "MRICRON", tmp_path / "none")
    monkeypatch.setattr("sys.argv", ["click_head", "--run", str(tmp_path / "run")])
    assert main() == 2
    assert "use --brains 0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_phantoms_alone_need_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_brains, "MRICRON", tmp_path / "none")
    alone = pool_of(Options(cache=tmp_path, phantoms=14, brains=0))
    assert len(alone.views) == 14


def test_packaged_brains_are_whole() -> None:
    try:
        brains = real_brains.real_brains()
    except ConfigError as error:
        pytest.skip(str(error))
    for brain in brains:
        litres = brain.brain.sum() / 1e6
        assert 1.2 < litres < 2.1, brain.name
        for name, mask in brain.structures.items():
            assert (mask & brain.brain).sum() > 0.9 * mask.sum() > 0, name
    behind, below = np.argwhere(brains[0].structures["cerebellum"]).mean(0)[1:]
    middle = np.argwhere(brains[0].brain).mean(0)
    assert behind < middle[1] and below < middle[2], "axes point to the front and the top"
