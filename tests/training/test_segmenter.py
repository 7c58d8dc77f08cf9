from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from overread.evals.contamination import MANIFEST, read_manifest
from overread.imaging.phantoms import split_of
from overread.imaging.vocabulary import TARGETS
from overread.tools.bundled_segmenter import BundledSegmenter
from overread.tools.segmenter_net import SIDE, SegmenterNet
from overread.training import segmenter
from overread.training.segmenter import Options, Trainer, export, train
from overread.training.segmenter_augment import fluorescent
from overread.training.segmenter_calibration import calibrate, cutoffs, truth_table
from overread.training.segmenter_card import dice
from overread.training.segmenter_data import (
    NAMELESS,
    Batch,
    Pool,
    load_pool,
    make_batch,
    may_be_absent,
)
from overread.training.segmenter_loss import dense_loss, query_losses
from overread.training.segmenter_prompts import draw_prompts
from tests.training.halves import check_that_halves_make_the_whole


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return load_pool("train", 14, 3, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def options(tmp_path: Path) -> Options:
    run = tmp_path / "run"
    run.mkdir()
    out = tmp_path / "weights" / "segmenter.safetensors"
    return Options(run=run, out=out, steps=4, batch=2, queries=6)


def batch_of(pool: Pool, seed: int = 0, side: int = 128) -> Batch:
    return make_batch(pool, np.arange(14), np.random.default_rng(seed), side, 8)


def test_the_cache_gives_back_what_was_drawn(tmp_path: Path, pool: Pool) -> None:
    first = load_pool("train", 14, 3, tmp_path)
    again = load_pool("train", 14, 3, tmp_path)
    for name in Pool.__slots__:
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert np.array_equal(getattr(first, name), getattr(pool, name))
    heart = pool.masks(0)[TARGETS.index("heart")]
    assert heart.shape == (256, 256) and 0.01 < heart.mean() < 0.3
    assert split_of("ph-fundus-00003") in ("train", "validation", "test")


def test_batches_are_reproducible_and_consistent(pool: Pool) -> None:
    first, again, other = batch_of(pool), batch_of(pool), batch_of(pool, seed=1)
    assert torch.equal(first.view, again.view) and torch.equal(first.truth, again.truth)
    assert not torch.equal(first.view, other.view)
    assert first.view.min() >= 0 and first.view.max() <= 1
    assert torch.equal(first.truth.flatten(1).any(1).float(), first.present)
    prompted = first.prompts.flatten(1).any(1)
    assert torch.equal(first.named > 0, ~prompted & (first.target != NAMELESS))
    assert (first.present[prompted] == 1).all()
    assert 0.2 < first.present[first.named > 0].mean() < 0.8, "present and absent are balanced"


def test_phantoms_with_findings_come_more_often(pool: Pool) -> None:
    chances = pool.chances()
    assert chances.sum() == pytest.approx(1)
    assert chances.max() == pytest.approx(3 * chances.min())
    histology = pool.domains == "histology"
    assert (chances[histology] == chances.min()).all()


def test_fluorescence_makes_nuclei_bright_on_dark(pool: Pool) -> None:
    index = int(np.flatnonzero(pool.domains == "histology")[0])
    view = torch.from_numpy(pool.views[index]).permute(2, 0, 1).float() / 255
    nuclei = pool.masks(index)[TARGETS.index("nuclei")]
    grey = view.mean(0).numpy()
    assert grey[nuclei].mean() < grey[~nuclei].mean()
    shown = fluorescent(view, nuclei, np.random.default_rng(0)).mean(0).numpy()
    assert shown[nuclei].mean() > 2 * shown[~nuclei].mean()


def test_prompts_point_where_they_should() -> None:
    mask = np.zeros((128, 128), bool)
    mask[30:60, 70:110] = True
    inside = mask.reshape(64, 2, 64, 2).mean((1, 3))
    seen = np.zeros(5, bool)
    for seed in range(60):
        planes = draw_prompts(mask, np.random.default_rng(seed))
        seen |= planes.any(axis=(1, 2))
        for channel in (0, 3):
            if planes[channel].any():
                row, column = np.unravel_index(planes[channel].argmax(), (64, 64))
                assert inside[row, column] > 0
        if planes[2].any():
            assert (planes[2][inside > 0] == 1).mean() > 0.95
        if planes[1].any() and not planes[4].any():
            row, column = np.unravel_index(planes[1].argmax(), (64, 64))
            assert inside[row, column] == 0
    assert seen.all()


def test_what_a_domain_does_not_label_is_not_called_absent() -> None:
    assert may_be_absent("chest-xray", "nodule") and may_be_absent("chest-xray", "liver")
    assert not may_be_absent("chest-xray", "body"), "there is a body in a chest radiograph"
    assert not may_be_absent("chest-xray", "heart")


def test_the_losses_are_least_at_the_truth(pool: Pool) -> None:
    batch = batch_of(pool)
    right = query_losses(20 * (2 * batch.truth - 1), 20 * (2 * batch.present - 1), batch, 0.25)
    wrong = query_losses(-20 * (2 * batch.truth - 1), -20 * (2 * batch.present - 1), batch, 0.25)
    for part, value in right.items():
        assert value < 0.01 < wrong[part], part
    crisp = replace(batch, dense=(batch.dense > 0.5).float())
    maps = 20 * (2 * crisp.dense - 1)
    assert dense_loss(maps, crisp, 0.25) < 0.01 < dense_loss(-maps, crisp, 0.25)


def test_what_is_not_labelled_teaches_nothing(pool: Pool) -> None:
    batch = batch_of(pool)
    maps = 20 * (2 * batch.dense - 1)
    spoiled = torch.where(batch.known[:, :, None, None] > 0, maps, -maps)
    assert (batch.known == 0).any()
    assert torch.equal(dense_loss(maps, batch, 0.25), dense_loss(spoiled, batch, 0.25))


def test_dice_is_hand_computed() -> None:
    mask, truth = np.zeros((2, 4, 4), bool)
    assert dice(mask, truth) == 1.0
    mask[0, :2], truth[0, :4] = True, True
    assert dice(mask, truth) == pytest.approx(4 / 6)


def test_training_changes_every_part_resumes_and_exports(pool: Pool, options: Options) -> None:
    whole = Trainer(options)
    parts = torch.nn.ModuleList([whole.net, whole.teacher])
    before = {name: value.clone() for name, value in parts.state_dict().items()}
    train(whole, pool)
    still = [name for name, value in parts.state_dict().items() if value.equal(before[name])]
    assert still == []

    halves = check_that_halves_make_the_whole(segmenter, whole, pool)

    cut = cutoffs(whole.net, pool)
    assert set(cut) == set(TARGETS) and all(0.3 <= value <= 0.9 for value in cut.values())
    export(whole, calibrate(whole.net, pool))
    assert BundledSegmenter(options.out, clicks=None).targets == TARGETS
    known = read_manifest(options.out.parent / MANIFEST)
    assert {line.split for line in known.patients} == {"train", "validation"}
    further = Trainer(replace(halves, run=options.run.parent / "third", start=options.out))
    for name, value in whole.average.items():
        assert torch.allclose(value, further.net.state_dict()[name], atol=2e-3), name


def test_masks_are_cut_where_their_area_is_that_of_the_truth(pool: Pool) -> None:
    """A ramp whose hottest part has the size of the heart is cut at the foot of that part."""
    row = int(np.flatnonzero(pool.domains == "chest-xray")[0])
    heart = TARGETS.index("heart")
    own = (pool.owner == row) & (pool.target == heart)
    alone = Pool(
        pool.views[row : row + 1], pool.domains[row : row + 1], pool.scanners[row : row + 1],
        np.zeros(1, np.int64), pool.target[own], pool.packed[own],
    )  # fmt: skip
    share = float(pool.masks(row)[heart].mean())
    ramp = torch.linspace(0.01, 0.99, SIDE).logit().expand(1, SIDE, SIDE)

    class Ramp(SegmenterNet):
        def forward(self, *_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return ramp, torch.zeros(1)

    cut = cutoffs(Ramp(len(TARGETS)), alone)["heart"]
    assert cut == pytest.approx(np.clip(1 - share, 0.3, 0.9), abs=0.05)
    assert cutoffs(Ramp(len(TARGETS)), alone)["liver"] == 0.5


def test_presence_is_asked_only_where_it_has_an_answer(pool: Pool) -> None:
    present, known = truth_table(pool)
    assert (present <= known).all()
    row = int(np.flatnonzero(pool.domains == "chest-xray")[0])
    assert known[row, TARGETS.index("nodule")] and not known[row, TARGETS.index("body")]
