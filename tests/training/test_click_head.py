"""Simulated sessions of clicks, and the head that learns from them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from overread.tools.bundled_segmenter import CLICKS, WEIGHTS, BundledSegmenter
from overread.tools.segmenter_net import PROMPT_CHANNELS
from overread.training import click_head
from overread.training.click_data import make_clicks
from overread.training.click_head import Options, Trainer, export, train
from overread.training.click_sessions import Session
from overread.training.segmenter_data import Pool, load_pool
from overread.training.segmenter_prompts import halved
from tests.training.halves import check_that_halves_make_the_whole

INSIDE, OUTSIDE, PREVIOUS = (PROMPT_CHANNELS.index(n) for n in ("inside", "outside", "previous"))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return load_pool("train", 14, 3, tmp_path_factory.mktemp("cache"))


def square() -> np.ndarray:
    mask = np.zeros((128, 128), bool)
    mask[30:70, 40:90] = True
    return mask


def sessions(number: int = 60) -> list[Session]:
    return [Session(square(), np.random.default_rng(seed)) for seed in range(number)]


def new_dots(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Places of clicks that were added, as a mask on the prompt planes."""
    return (after > 0.85) & ~(before > 0.85)


def test_sessions_begin_in_every_way_and_point_at_the_object() -> None:
    begun = sessions()
    used = np.stack([one.planes.any((1, 2)) for one in begun]).any(0)
    assert used.all(), "clicks inside and outside, boxes, scribbles and masks to correct"
    within = halved(square()) > 0
    for one in begun:
        assert not (one.planes[INSIDE] > 0.85)[~within].any()
        assert one.planes[[INSIDE, 2, 3, PREVIOUS]].any()
    assert {(one.blind, one.corrects) for one in begun} == {
        (a, b) for a in (False, True) for b in (False, True)
    }


def test_a_click_mends_the_larger_error() -> None:
    truth = square()
    small, large = truth.copy(), truth.copy()
    small[30:70, 60:90] = False
    large[30:70, 90:128] = True
    for made, channel in ((small, INSIDE), (large, OUTSIDE)):
        wrong = halved(truth ^ made) > 0
        for one in sessions():
            if one.blind:
                continue
            before = one.planes.copy()
            one.go_on(made)
            added = new_dots(before[channel], one.planes[channel])
            assert not added[~wrong].any()
            other = OUTSIDE if channel == INSIDE else INSIDE
            assert np.array_equal(before[other], one.planes[other])


def test_blind_clicks_do_not_look_at_the_answer() -> None:
    for seed in range(40):
        one, other = (Session(square(), np.random.default_rng(seed)) for _ in range(2))
        if not one.blind:
            continue
        one.go_on(np.zeros((128, 128), bool))
        other.go_on(np.ones((128, 128), bool))
        assert np.array_equal(one.planes[:PREVIOUS], other.planes[:PREVIOUS])


def test_the_last_mask_is_handed_back_by_those_who_correct() -> None:
    made = np.zeros((128, 128), bool)
    made[10:20, 10:20] = True
    for one in sessions():
        before = one.planes[PREVIOUS].copy()
        one.go_on(made)
        assert np.array_equal(one.planes[PREVIOUS], halved(made) if one.corrects else before)


def test_an_object_that_fills_the_picture_gets_clicks_inside() -> None:
    for seed in range(20):
        one = Session(np.ones((64, 64), bool), np.random.default_rng(seed))
        outside = one.planes[OUTSIDE].copy()
        one.go_on(np.ones((64, 64), bool))
        assert np.array_equal(one.planes[OUTSIDE], outside)


def test_batches_are_reproducible_and_objects_are_connected_regions(pool: Pool) -> None:
    first, again = (
        make_clicks(pool, np.arange(14), np.random.default_rng(0), 192, 4, 5) for _ in range(2)
    )
    assert torch.equal(first.view, again.view) and torch.equal(first.truth, again.truth)
    assert first.rounds == again.rounds <= 5
    assert len(first.sessions) == len(first.owner) and set(first.owner.tolist()) == set(range(14))
    for one, other in zip(first.sessions, again.sessions, strict=True):
        assert np.array_equal(one.planes, other.planes) and one.truth.any()


def test_training_resumes_and_exports_what_the_segmenter_takes(pool: Pool, tmp_path: Path) -> None:
    options = Options(
        run=tmp_path / "whole", out=tmp_path / "clicks.safetensors", steps=4, batch=2, objects=2, most=2,
    )  # fmt: skip
    options.run.mkdir()
    whole = Trainer(options)
    start = {name: value.clone() for name, value in whole.head.state_dict().items()}
    backbone = {name: value.clone() for name, value in whole.backbone.state_dict().items()}
    train(whole, pool)
    still = [name for name, value in whole.head.state_dict().items() if value.equal(start[name])]
    assert still == []
    assert all(value.equal(backbone[name]) for name, value in whole.backbone.state_dict().items())

    later = Trainer(replace(options, run=tmp_path, start=CLICKS))
    first = next(iter(later.head.state_dict()))
    assert later.head.state_dict()[first].equal(load_file(CLICKS)[first].float())

    check_that_halves_make_the_whole(click_head, whole, pool)

    export(whole)
    assert BundledSegmenter(WEIGHTS, options.out).version.endswith("clicks 2")
