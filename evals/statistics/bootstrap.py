"""The cluster bootstrap: whole patients are drawn again, with all of their items.

Source: Efron, Tibshirani, An introduction to the bootstrap (1993), chapters 13 and 14; Field,
Welsh, Bootstrapping clustered data, J R Statist Soc B 69:369 (2007).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

RESAMPLES, CONFIDENCE, SEED = 2000, 0.95, 0
AT_ONCE = 4_000_000  # numbers drawn in one go; bounds memory to some 100 MB

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval.

    Attributes:
        low, high: Its ends.
        standard_error: Standard deviation of the resampled means.
    """

    low: float
    high: float
    standard_error: float


def cluster_sums(values: Array, clusters: Sequence[Hashable]) -> Array:
    """Add up the columns of items by cluster.

    Args:
        values: (items, columns).
        clusters: One an item.

    Returns:
        Shape (clusters, columns), in order of first appearance.
    """
    numbers: dict[Hashable, int] = {}
    place = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    sums = np.zeros((len(numbers), values.shape[1]))
    np.add.at(sums, place, values)
    return sums


def resample(sums: Array, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """Draw as many clusters as there are, with replacement, and add up their columns; again.

    Args:
        sums: (clusters, columns), as of `cluster_sums`.
        resamples: How often.
        seed: The same seed gives the same draws.

    Returns:
        Shape (resamples, columns).
    """
    rng, number = np.random.default_rng(seed), len(sums)
    drawn = np.empty((resamples, sums.shape[1]))
    step = max(1, AT_ONCE // number)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        chosen = rng.integers(0, number, (rows, number)) + number * np.arange(rows)[:, None]
        times = np.bincount(chosen.ravel(), minlength=rows * number).reshape(rows, number)
        drawn[start : start + rows] = times @ sums
    return drawn


def mean_interval(
    values: Array,
    clusters: Sequence[Hashable],
    bounds: tuple[float, float] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the interval of a mean over items: bias-corrected and accelerated, by cluster.

    Where all values are equal, nothing varies and a bootstrap would claim certainty. If the values
    are bounded, the exact interval of a proportion stands in, with clusters as its trials: so many
    others may lie at either bound without one having been met. One cluster alone says nothing of
    others; its interval is not a number.

    Args:
        values: (items,), at least one.
        clusters: One an item.
        bounds: Least and largest value there can be; None where there is no limit.
        resamples: How often to draw.
        seed: Of the draws.
        confidence: 0..1.

    Source: Efron, Better bootstrap confidence intervals, JASA 82:171 (1987); Clopper, Pearson,
    Biometrika 26:404 (1934).
    """
    sums = cluster_sums(np.column_stack([values, np.ones_like(values)]), clusters)
    tail = (1 - confidence) / 2
    if bounds and values.min() == values.max():
        value, unmet = float(values[0]), 1 - float(beta.ppf(tail, len(sums), 1))
        least, largest = bounds
        return Interval(value - unmet * (value - least), value + unmet * (largest - value), 0.0)
    if len(sums) == 1:
        return Interval(np.nan, np.nan, np.nan)
    drawn = resample(sums, resamples, seed)
    means = drawn[:, 0] / drawn[:, 1]
    low, high = np.quantile(means, _bca_tails(sums, means, np.array([tail, 1 - tail])))
    return Interval(float(low), float(high), float(means.std(ddof=1)))


def _bca_tails(sums: Array, means: Array, tails: Array) -> Array:
    """Return which quantiles of the resampled means end the interval."""
    total, number = sums.sum(axis=0)
    mean = total / number
    below = ((means < mean).mean() + (means <= mean).mean()) / 2
    left_out = (total - sums[:, 0]) / (number - sums[:, 1])
    apart = left_out.mean() - left_out
    spread = (apart**2).sum() ** 1.5
    if not 0 < below < 1 or not spread:
        return tails
    bias, acceleration = norm.ppf(below), (apart**3).sum() / (6 * spread)
    shifted = bias + norm.ppf(tails)
    return norm.cdf(bias + shifted / (1 - acceleration * shifted))
