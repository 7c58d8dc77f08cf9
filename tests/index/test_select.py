import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.index.select import adaptive

ranked = st.lists(st.floats(-1, 1), max_size=20).map(lambda scores: sorted(scores, reverse=True))


def test_hand_computed_example() -> None:
    # log(0.9/0.85) = 0.057, log(0.85/0.3) = 1.04: the first large drop is after the second.
    assert adaptive([0.9, 0.85, 0.3, 0.29], gamma=0.25, floor=0.0, cap=9) == 2
    assert adaptive([0.9, 0.85, 0.3, 0.29], gamma=2.0, floor=0.0, cap=9) == 4
    assert adaptive([0.9, 0.85, 0.3, 0.29], gamma=2.0, floor=0.295, cap=9) == 3
    assert adaptive([0.9, 0.85, 0.3, 0.29], gamma=2.0, floor=0.0, cap=1) == 1


@given(ranked, st.floats(0, 3), st.floats(-1, 1), st.integers(0, 25))
def test_what_is_kept_is_worth_keeping(
    scores: list[float], gamma: float, floor: float, cap: int
) -> None:
    kept = adaptive(scores, gamma, floor, cap)
    assert 0 <= kept <= min(cap, len(scores))
    assert all(score >= floor and score > 0 for score in scores[:kept])
    for before, after in pairwise(scores[:kept]):
        assert math.log(before / after) <= gamma
    if kept < min(cap, len(scores)):  # something stopped it
        stopped = scores[kept]
        too_low = stopped < floor or stopped <= 0
        assert too_low or (kept > 0 and math.log(scores[kept - 1] / stopped) > gamma)


@given(ranked, st.floats(0, 3), st.floats(0, 3), st.floats(-1, 1), st.integers(0, 25))
def test_a_larger_gamma_never_keeps_fewer(
    scores: list[float], one: float, other: float, floor: float, cap: int
) -> None:
    small, large = sorted((one, other))
    assert adaptive(scores, small, floor, cap) <= adaptive(scores, large, floor, cap)


@given(
    st.lists(st.floats(0.01, 1), min_size=1).map(lambda s: sorted(s, reverse=True)),
    st.floats(0.1, 9),
)
def test_scaling_all_scores_changes_nothing_without_a_floor(
    scores: list[float], factor: float
) -> None:
    scaled = sorted((score * factor for score in scores), reverse=True)
    # Between a drop and gamma there is room for rounding, so gamma is kept off the drops.
    gamma = 0.2345678
    assert adaptive(scores, gamma, 0.0, 99) == adaptive(scaled, gamma, 0.0, 99)


def test_unsorted_scores_and_negative_gamma_are_refused() -> None:
    with pytest.raises(ValueError, match="descending"):
        adaptive([0.1, 0.2], 0.1, 0.0, 2)
    with pytest.raises(ValueError, match="negative"):
        adaptive([0.2], -0.1, 0.0, 2)
