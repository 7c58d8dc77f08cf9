"""Estimates of a mask's quality, against values by hand and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from overread.imaging.phantoms import generate
from overread.tools.bundled_segmenter import bundled_segmenter
from overread.tools.clicks import Prompts, answer, doubt
from overread.tools.pictures import uncertainty_layer
from overread.tools.quality import (
    entropy,
    expected_dice,
    quality_by_jitter,
    quality_of,
)
from tests.tools.conftest import image_of

maps = arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32))


@given(maps)
def test_entropy_is_symmetric_and_greatest_in_the_middle(probability: np.ndarray) -> None:
    bits = entropy(probability)
    assert bits.dtype == np.float32 and bits.min() >= 0 and bits.max() <= 1
    assert np.allclose(bits, entropy(1 - probability), atol=1e-4)
    assert (bits <= entropy(np.full((5, 7), 0.5, np.float32))).all()


def test_a_sure_map_expects_what_overlap_it_has() -> None:
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    assert expected_dice(mask.astype(np.float32), mask) == 1.0
    assert expected_dice((~mask).astype(np.float32), mask) == 0.0
    assert expected_dice(np.zeros((4, 4), np.float32), np.zeros((4, 4), bool)) == 1.0


def test_the_expected_dice_is_that_of_truths_drawn_from_the_map() -> None:
    """Each pixel by itself: the mean Dice over draws, to the third digit for a mask this large."""
    rng = np.random.default_rng(0)
    probability = rng.beta(0.4, 0.4, (40, 40)).astype(np.float32)
    mask = probability >= 0.5
    drawn = [
        2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        for truth in (rng.random((400, 40, 40)) < probability)
    ]
    assert expected_dice(probability, mask) == pytest.approx(np.mean(drawn), abs=0.005)


def test_moved_prompts_are_unsure_where_the_answer_depends_on_them() -> None:
    phantom = generate("ultrasound", 3)
    image, segmenter = image_of(phantom), bundled_segmenter()
    rows, columns = np.nonzero(next(iter(phantom.masks.values())))
    points = [(int(np.median(columns)), int(np.median(rows)), True)]
    made = segmenter.segment(image, points=points)
    moved = quality_by_jitter(segmenter, image, made, points=points)
    again = quality_by_jitter(segmenter, image, made, points=points)
    assert np.array_equal(moved.uncertainty, again.uncertainty) and moved.dice == again.dice
    assert moved.uncertainty.shape == image.shape and 0 <= moved.dice <= 1
    assert "over 8 prompts" in moved.source and "own probabilities" in quality_of(made).source
    # Entropy is concave: that of the mean is no less than what the own map has on average.
    assert moved.uncertainty.mean() > 0
    boxed = quality_by_jitter(segmenter, image, made, box=(0, 0, 5, 5))
    assert boxed.uncertainty.shape == image.shape


def test_doubt_moves_points_and_leaves_strokes_where_they_are() -> None:
    phantom = generate("ultrasound", 3)
    image, segmenter = image_of(phantom), bundled_segmenter()
    rows, columns = np.nonzero(next(iter(phantom.masks.values())))
    x, y = int(np.median(columns)), int(np.median(rows))
    stroke = [(float(x), float(y)), (float(x + 9), float(y))]
    drawn = Prompts(strokes=[stroke])
    told = doubt(segmenter, image, drawn)
    assert "own probabilities" in told.source
    assert np.array_equal(told.uncertainty, entropy(answer(segmenter, image, drawn).probability))
    pointed = doubt(segmenter, image, Prompts(points=[(x, y, True)], strokes=[stroke]))
    # With the stroke the point alone is moved: less depends on it than without.
    alone = doubt(segmenter, image, Prompts(points=[(x, y, True)]))
    assert "over 8 prompts" in pointed.source and "over 8 prompts" in alone.source
    assert not np.array_equal(pointed.uncertainty, alone.uncertainty)


def test_its_layer_is_clear_where_the_mask_is_sure() -> None:
    heat = np.zeros((1600, 800), np.float32)
    heat[800:] = 1.0
    layer = np.asarray(uncertainty_layer(heat))
    assert layer.shape == (768, 384, 4)
    assert layer[:380, :, 3].max() == 0 and layer[390:, :, 3].min() > 100
