import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.index.fuse import RANK_CONSTANT, diverse, places, reciprocal_ranks

ranking = st.lists(st.integers(0, 30), unique=True, max_size=12).map(
    lambda keys: {key: rank for rank, key in enumerate(keys, start=1)}
)
lists = st.dictionaries(st.sampled_from(["image", "report", "keywords"]), ranking)


def test_hand_computed_fusion() -> None:
    fused = reciprocal_ranks({"image": {"a": 1, "b": 2, "c": 3}, "words": {"c": 1, "b": 2}})
    best = 2 / 61
    assert fused["a"] == pytest.approx((1 / 61) / best)
    assert fused["b"] == pytest.approx((1 / 62 + 1 / 62) / best)
    assert fused["c"] == pytest.approx((1 / 63 + 1 / 61) / best)
    assert list(fused) == ["c", "b", "a"]


@given(lists)
def test_every_key_has_a_share_and_the_best_comes_first(ranked: dict[str, dict[int, int]]) -> None:
    fused = reciprocal_ranks(ranked)
    assert set(fused) == {key for keys in ranked.values() for key in keys}
    assert all(0 < score <= 1 + 1e-12 for score in fused.values())
    assert list(fused.values()) == sorted(fused.values(), reverse=True)


@given(ranking)
def test_one_list_keeps_its_order(keys: dict[int, int]) -> None:
    assert list(reciprocal_ranks({"image": keys, "words": {}})) == list(keys)


@given(st.lists(st.integers(0, 4), max_size=12).map(lambda s: sorted(s, reverse=True)))
def test_a_place_counts_the_better_ones(scores: list[int]) -> None:
    expected = [1 + sum(other > score for other in scores) for score in scores]
    assert places(scores) == expected


@given(lists, st.integers(31, 40))
def test_what_comes_last_in_another_list_gains_and_nobody_else_overtakes_another(
    ranked: dict[str, dict[int, int]], new: int
) -> None:
    before = reciprocal_ranks(ranked)
    after = reciprocal_ranks({name: keys | {new: len(keys) + 1} for name, keys in ranked.items()})
    order = [key for key in after if key != new]
    for one, other in itertools.pairwise(order):
        assert before[one] >= before[other] or math.isclose(before[one], before[other])


def test_the_constant_is_that_of_the_paper() -> None:
    assert RANK_CONSTANT == 60


def unit_rows(seed: int, n: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 14), st.floats(0, 1))
def test_diverse_picks_each_once_and_starts_with_the_most_relevant(
    seed: int, n: int, count: int, diversity: float
) -> None:
    vectors = unit_rows(seed, n)
    relevance = np.sort(np.random.default_rng(seed).random(n))[::-1].tolist()
    picked = diverse(relevance, vectors, count, diversity)
    assert len(picked) == len(set(picked)) == min(n, count)
    if picked and diversity < 1:
        assert relevance[picked[0]] == relevance[0]


@given(st.integers(0, 10**6), st.integers(2, 12))
def test_without_diversity_the_order_is_that_of_relevance(seed: int, n: int) -> None:
    relevance = np.sort(np.random.default_rng(seed).random(n))[::-1].tolist()
    assert diverse(relevance, unit_rows(seed, n), n, 0.0) == list(range(n))


@given(st.integers(0, 10**6), st.integers(3, 10), st.floats(0.05, 0.95))
def test_each_step_takes_the_largest_marginal_relevance(
    seed: int, n: int, diversity: float
) -> None:
    vectors, relevance = unit_rows(seed, n), np.random.default_rng(seed).random(n)
    picked = diverse(relevance.tolist(), vectors, n, diversity)
    for step in range(1, n):
        chosen = picked[:step]
        gains = {
            i: (1 - diversity) * relevance[i]
            - diversity * float((vectors[chosen] @ vectors[i]).max())
            for i in range(n)
            if i not in chosen
        }
        assert gains[picked[step]] == pytest.approx(max(gains.values()), abs=1e-6)


def test_a_copy_waits_for_something_else() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert diverse([0.9, 0.9, 0.5], vectors, 2) == [0, 2]


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="2 relevances for 1 vectors"):
        diverse([0.1, 0.2], unit_rows(0, 1), 1)
    with pytest.raises(ValueError, match="out of its range"):
        diverse([0.1], unit_rows(0, 1), 1, 1.5)
