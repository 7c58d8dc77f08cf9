"""The Fréchet distance against values by hand, against MONAI's, and by its properties."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from overread.evals.metrics.frechet import Normal, distance, fitted, squared_distance
from overread.imaging.errors import InputError

# Drawing arrays is slow on a busy machine, and no fault of the code under test.
patient = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
features = arrays(np.float64, st.tuples(st.integers(3, 8), st.just(4)), elements=st.floats(-50, 50))


def sample(seed: int, n: int = 40, dim: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim))


def test_values_computed_by_hand() -> None:
    # (1, -2) apart: 5. Deviations 1 and 3 against 2 and 3, uncorrelated: (2 - 1) squared.
    one = Normal(np.zeros(2), np.diag([1.0, 9.0]))
    other = Normal(np.array([1.0, -2.0]), np.diag([4.0, 9.0]))
    assert squared_distance(one, other) == pytest.approx(6.0)
    # [[2, 1], [1, 2]] has eigenvalues 1 and 3: against the unit matrix (sqrt 3 - 1) squared.
    turned = Normal(np.zeros(2), np.array([[2.0, 1.0], [1.0, 2.0]]))
    unit = Normal(np.zeros(2), np.eye(2))
    assert squared_distance(turned, unit) == pytest.approx((np.sqrt(3) - 1) ** 2)


def test_monai_gives_the_same_for_regular_covariances() -> None:
    fid = pytest.importorskip("monai.metrics.fid")
    torch = pytest.importorskip("torch")
    first, second = sample(1, 400), sample(2, 400) + 1
    one, other = (
        Normal(x.mean(axis=0), np.cov(x, rowvar=False, bias=False)) for x in (first, second)
    )
    theirs = fid.get_fid_score(torch.tensor(first), torch.tensor(second))
    assert squared_distance(one, other) == pytest.approx(float(theirs), rel=1e-5)


@patient
@given(features, st.booleans())
def test_a_set_is_no_distance_from_itself(rows: np.ndarray, scale: bool) -> None:
    try:
        found = distance(rows, rows[::-1], scale=scale)
    except InputError:
        assert scale and np.ptp(rows, axis=0).max() < 1e-6
        return
    assert found.squared == pytest.approx(0, abs=1e-5 * max(1, (rows**2).max()))


@patient
@given(features, features, st.booleans())
def test_it_is_symmetric_finite_and_never_negative(
    first: np.ndarray, second: np.ndarray, scale: bool
) -> None:
    try:
        there, back = distance(first, second, scale=scale), distance(second, first, scale=scale)
    except InputError:
        return
    assert np.isfinite(there.squared) and there.squared >= 0
    size = max(1.0, (first**2).max(), (second**2).max(), there.squared)
    assert there.squared == pytest.approx(back.squared, abs=1e-5 * size)


def test_it_grows_with_the_corruption_and_not_with_the_unit() -> None:
    clean = sample(3, 80)
    noise = np.random.default_rng(4).normal(size=clean.shape)
    apart = [distance(clean, clean + k * (1 + noise), scale=True).squared for k in (0.1, 0.5, 2.0)]
    assert 0 < apart[0] < apart[1] < apart[2]
    units = np.array([1, 1000, 1e-3, 1, 1, 1])
    scaled = distance(clean * units, (clean + 0.5 * (1 + noise)) * units, scale=True).squared
    # The shrinkage of the covariance sees the scaled features, so it is exact.
    assert scaled == pytest.approx(apart[1])


def test_fewer_images_than_features_still_give_a_distance() -> None:
    first, second = sample(5, 10, 60), sample(6, 10, 60)
    assert np.linalg.matrix_rank(np.cov(first, rowvar=False)) < 60
    assert np.linalg.eigvalsh(fitted(first).covariance).min() > 0
    assert np.isfinite(distance(first, second, scale=True).squared)


def test_what_does_not_vary_is_left_out_and_counted() -> None:
    first = np.hstack([sample(7, dim=3), np.full((40, 1), 5.0)])
    second = np.hstack([sample(8, dim=3), np.full((40, 1), 5.0)])
    found = distance(first, second, scale=True)
    assert (found.features, found.left_out) == (3, 1)


def test_unusable_sets_are_refused() -> None:
    with pytest.raises(InputError, match="at least 3 images, got 2"):
        distance(np.eye(2), np.eye(2), scale=True)
    with pytest.raises(InputError, match="not a finite number"):
        distance(np.full((4, 2), np.nan), np.ones((4, 2)), scale=False)
    with pytest.raises(InputError, match="no feature varies"):
        distance(np.ones((4, 2)), np.ones((4, 2)), scale=True)
    with pytest.raises(InputError, match="the sets have"):
        distance(np.ones((4, 2)), np.ones((4, 3)), scale=True)
