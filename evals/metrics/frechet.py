"""Fréchet distance of two sets of feature vectors, each taken for a sample of a normal distribution.

The covariance is shrunk (Ledoit and Wolf), so that it is regular even where there are fewer images
than features; the root of the product is taken over symmetric matrices alone, so that it is real.

Sources: Dowson, Landau, The Fréchet distance between multivariate normal distributions, J
Multivariate Anal 12:450 (1982); Ledoit, Wolf, A well-conditioned estimator for large-dimensional
covariance matrices, J Multivariate Anal 88:365 (2004).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from overread.imaging.errors import InputError

Matrix = NDArray[np.float64]
FEWEST = 3
"""Images of a set; from fewer no covariance is told."""


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """A normal distribution: mean (features,), covariance (features, features)."""

    mean: Matrix
    covariance: Matrix


@dataclass(frozen=True, slots=True)
class Distance:
    """What two sets are apart.

    Attributes:
        squared: The squared distance, as it is usually reported; in units of the features' own
            deviation where they were scaled.
        features: Counted in it.
        left_out: Features that do not vary within either set, so that there is no scale for them.
    """

    squared: float
    features: int
    left_out: int


def fitted(features: Matrix) -> Normal:
    """Return the normal distribution of a sample, its covariance shrunk.

    Args:
        features: (images, features).

    Raises:
        InputError: There are too few images, or a feature is not finite.
    """
    _check(features)
    return Normal(features.mean(axis=0), ledoit_wolf(features)[0])


def squared_distance(first: Normal, second: Normal) -> float:
    """Return the squared Fréchet distance of two normal distributions.

    >>> one = Normal(np.array([0.0]), np.array([[1.0]]))
    >>> other = Normal(np.array([3.0]), np.array([[4.0]]))
    >>> squared_distance(one, other)  # 3 squared, and (2 - 1) squared
    10.0
    """
    apart = float(((first.mean - second.mean) ** 2).sum())
    root = _root(first.covariance)
    # The product of both covariances has the eigenvalues of this one, which is symmetric.
    inner = np.linalg.eigvalsh(_symmetric(root @ second.covariance @ root))
    shared = float(np.sqrt(np.clip(inner, 0.0, None)).sum())
    traces = float(np.trace(first.covariance) + np.trace(second.covariance))
    return apart + max(traces - 2 * shared, 0.0)


def distance(first: Matrix, second: Matrix, *, scale: bool) -> Distance:
    """Return the distance of two samples; the same whichever comes first.

    Args:
        first: (images, features).
        second: The same features of other images.
        scale: Whether to measure each feature in units of its deviation within the sets (the root
            of their mean variance). Without, large features count most.

    Raises:
        InputError: As `fitted`, or the numbers of features differ, or none varies.
    """
    if first.shape[1:] != second.shape[1:]:
        raise InputError(f"the sets have {first.shape[1:]} and {second.shape[1:]} features")
    known = np.ones(first.shape[1], bool)
    if scale:
        for features in (first, second):
            _check(features)
        deviation = np.sqrt((first.var(axis=0) + second.var(axis=0)) / 2)
        size = np.maximum(np.abs(first).max(axis=0), np.abs(second).max(axis=0))
        known = deviation > 1e-9 * np.maximum(size, 1e-9)
        if not known.any():
            raise InputError("no feature varies within the sets; give different images")
        centre = (first.mean(axis=0) + second.mean(axis=0)) / 2
        first = (first[:, known] - centre[known]) / deviation[known]
        second = (second[:, known] - centre[known]) / deviation[known]
    squared = squared_distance(fitted(first), fitted(second))
    return Distance(squared, int(known.sum()), int((~known).sum()))


def _check(features: Matrix) -> None:
    if features.ndim != 2 or len(features) < FEWEST:
        raise InputError(f"a set needs at least {FEWEST} images, got {len(features)}")
    if not np.isfinite(features).all():
        raise InputError("a feature is not a finite number")


def _root(matrix: Matrix) -> Matrix:
    values, vectors = np.linalg.eigh(_symmetric(matrix))
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T


def _symmetric(matrix: Matrix) -> Matrix:
    return (matrix + matrix.T) / 2
