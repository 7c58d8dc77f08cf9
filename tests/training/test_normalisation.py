import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from overread.imaging.errors import InputError
from overread.training.normalisation import Spread, normalise, spread_of

rewards = st.floats(0, 1).map(lambda x: round(x, 6))
samples = st.lists(rewards, min_size=1, max_size=40)


def spread(p25: float, p50: float, p75: float, std: float = 0.0) -> Spread:
    return Spread(p25=p25, p50=p50, p75=p75, std=std, mean=p50, n=10, prompts=10)


@pytest.mark.parametrize(
    ("reward", "baseline", "expected"),
    [
        # by hand: 1 / (1 + exp(-3 (x - p50) / (p75 - p25)))
        (0.75, spread(0.5, 0.75, 1.0), 0.5),
        (1.0, spread(0.5, 0.75, 1.0), 1 / (1 + math.exp(-1.5))),
        (0.25, spread(0.5, 0.75, 1.0), 1 / (1 + math.exp(3))),
        (0.04, spread(0.03, 0.04, 0.05), 0.5),
        (0.06, spread(0.03, 0.04, 0.05), 1 / (1 + math.exp(-3))),
        # right in four of five: the IQR is 0, 1.349 s stands in for it
        (1.0, spread(1, 1, 1, std=0.4), 0.5),
        (0.0, spread(1, 1, 1, std=0.4), 1 / (1 + math.exp(3 / (1.349 * 0.4)))),
        # all alike: a step
        (0.3, spread(0.3, 0.3, 0.3), 0.5),
        (0.4, spread(0.3, 0.3, 0.3), 1.0),
        (0.2, spread(0.3, 0.3, 0.3), 0.0),
    ],
)
def test_values_by_hand(reward: float, baseline: Spread, expected: float) -> None:
    assert normalise(reward, baseline) == pytest.approx(expected, abs=1e-12)


@given(samples)
def test_median_gives_one_half(values: list[float]) -> None:
    found = spread_of(values, prompts=1)
    assert normalise(found.p50, found) == 0.5


@given(samples, rewards, rewards, st.floats(0.1, 10))
def test_bounded_and_monotone(values: list[float], one: float, other: float, k: float) -> None:
    found = spread_of(values, prompts=1)
    low, high = normalise(min(one, other), found, k), normalise(max(one, other), found, k)
    assert 0 <= low <= high <= 1


@given(samples, rewards, st.floats(0.01, 100), st.floats(-100, 100))
def test_shift_and_stretch_change_nothing(
    values: list[float], reward: float, by: float, shift: float
) -> None:
    found = spread_of(values, prompts=1)
    # Steps at the median itself, and IQRs lost in rounding, are exact only without the shift.
    assume(found.scale == 0 or found.scale > 1e-4)
    assume(found.scale > 0 or abs(reward - found.p50) > 1e-4)
    moved = spread_of([by * value + shift for value in values], prompts=1)
    if found.p25 == found.p75:
        assume(moved.p25 == moved.p75)
    assert normalise(by * reward + shift, moved) == pytest.approx(
        normalise(reward, found), abs=1e-4
    )


@given(st.lists(rewards, min_size=4, max_size=40), rewards)
def test_mirrored_rewards_mirror(values: list[float], reward: float) -> None:
    found = spread_of(values, prompts=1)
    other = spread_of([-value for value in values], prompts=1)
    assume(found.scale == 0 or found.scale > 1e-4)
    assert normalise(-reward, other) == pytest.approx(1 - normalise(reward, found), abs=1e-6)


def test_far_rewards_do_not_overflow() -> None:
    assert normalise(1e9, spread(0.0, 1e-9, 2e-9)) == 1.0
    assert normalise(-1e9, spread(0.0, 1e-9, 2e-9)) == pytest.approx(0.0, abs=1e-300)


def test_percentiles_interpolate() -> None:
    found = spread_of([0.0, 0.0, 1.0, 1.0], prompts=2)
    assert (found.p25, found.p50, found.p75, found.n, found.prompts) == (0.0, 0.5, 1.0, 4, 2)


@pytest.mark.parametrize("values", [[], [0.1, math.nan]])
def test_nothing_to_measure_is_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match="empty or not finite"):
        spread_of(values, prompts=1)


def test_falling_percentiles_are_refused() -> None:
    with pytest.raises(ValidationError, match="must rise"):
        spread(0.5, 0.4, 0.6)
