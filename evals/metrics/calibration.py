"""Whether a stated confidence can be believed, and what declining to answer buys.

Confidence is that the answer is right, 0..1. Correctness is 0..1 as well; partly right answers may
lie between. Only answers with a confidence can be judged: `judged` picks them and keeps count of
all that were asked, so that an abstention or a failure shows as coverage that is never reached.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.evals.records import Record
from overread.imaging.errors import InputError

Values = NDArray[np.float64]
BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Answers with a confidence.

    Attributes:
        confidence, correct: One value an answer, 0..1.
        asked: How many questions there were, failed, abstained and without confidence included.
    """

    confidence: Values
    correct: Values
    asked: int


@dataclass(frozen=True, slots=True)
class Bin:
    """A point of the reliability curve.

    Attributes:
        low, high: Its confidences lie in (low, high]; the lowest bin takes its lower edge too.
        n: Answers in it, at least one.
        confidence, correct: Their means.
    """

    low: float
    high: float
    n: int
    confidence: float
    correct: float


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """What is wrong among the k most confident answers, for k = 1, 2, ...

    Attributes:
        coverage: k / asked, rising.
        risk: Mean of 1 - correct among them.
    """

    coverage: Values
    risk: Values


def judged(records: Sequence[Record]) -> Judged:
    """Pick the scored, not abstained answers that state a confidence."""
    told = [
        (record.confidence, record.value)
        for record in records
        if record.status == "scored" and not record.abstained and record.confidence is not None
    ]
    pairs = np.array(told, dtype=np.float64).reshape(-1, 2)
    return Judged(pairs[:, 0], pairs[:, 1], len(records))


def reliability(
    confidence: Values, correct: Values, bins: int = BINS, equal_mass: bool = False
) -> list[Bin]:
    """Return the reliability curve: stated against true correctness, bin by bin.

    Args:
        confidence: (n,), 0..1.
        correct: (n,), 0..1.
        bins: How many; empty ones are left out.
        equal_mass: Edges at quantiles rather than equal widths. Equal confidences share a bin,
            so there may be fewer bins.

    Raises:
        InputError: Values are missing, out of 0..1, or of different number; or there is no bin.

    Source: Guo et al., On calibration of modern neural networks, ICML (2017); Nguyen, O'Connor,
    arXiv:1508.05154 (equal mass).
    """
    _check(confidence, correct)
    if bins < 1:
        raise InputError(f"{bins} bins were asked for; give one or more")
    shares = np.linspace(0, 1, bins + 1)
    # In percent, as scikit-learn rounds: an answer that lies on an edge falls on the same side.
    edges = np.percentile(confidence, shares * 100) if equal_mass else shares
    place = np.searchsorted(edges[1:-1], confidence, side="left")
    found = []
    for number in np.unique(place):
        inside = place == number
        low, high = edges[number], edges[number + 1]
        said, right = confidence[inside].mean(), correct[inside].mean()
        found.append(Bin(float(low), float(high), int(inside.sum()), float(said), float(right)))
    return found


def ece(confidence: Values, correct: Values, bins: int = BINS, equal_mass: bool = False) -> float:
    """Return the expected calibration error, 0..1: the gap of the bins, weighted by their size.

    Args, Raises, Source: As `reliability`.

    >>> ece(np.array([0.9, 0.9]), np.array([1.0, 0.0])).__round__(3)
    0.4
    """
    points = reliability(confidence, correct, bins, equal_mass)
    return sum(p.n * abs(p.confidence - p.correct) for p in points) / len(confidence)


def brier(confidence: Values, correct: Values) -> float:
    """Return the mean squared difference of confidence and correctness, 0..1.

    Raises:
        InputError: As `reliability`.

    Source: Brier, Monthly Weather Review 78:1 (1950).

    >>> brier(np.array([0.9, 0.9]), np.array([1.0, 0.0])).__round__(3)
    0.41
    """
    _check(confidence, correct)
    return float(((confidence - correct) ** 2).mean())


def risk_coverage(confidence: Values, correct: Values, asked: int | None = None) -> RiskCoverage:
    """Return the risk among the most confident answers by coverage.

    Answers of equal confidence cannot be told apart; the curve is what a random order among them
    gives on average, so it does not depend on the order of the items.

    Args:
        confidence: (n,), 0..1.
        correct: (n,), 0..1.
        asked: Questions, unanswered ones included; n if not given.

    Raises:
        InputError: As `reliability`, or fewer were asked than answered.

    Source: El-Yaniv, Wiener, JMLR 11:1605 (2010).
    """
    _check(confidence, correct)
    n = len(confidence)
    if asked is not None and asked < n:
        raise InputError(f"{n} answers to {asked} questions; count every question asked")
    levels, place, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    wrong = np.bincount(place, weights=1 - correct, minlength=len(levels))
    taken = np.arange(1, n + 1)
    errors = np.interp(taken, np.append(0, sizes.cumsum()), np.append(0.0, wrong.cumsum()))
    return RiskCoverage(taken / (asked or n), errors / taken)


def aurc(confidence: Values, correct: Values) -> float:
    """Return the mean risk over all coverages of the answers given, 0..1; lower is better.

    It speaks of the ranking of the answers given. Who abstains often is judged on few of them:
    read it beside the coverage.

    Raises:
        InputError: As `reliability`.

    Source: Geifman, Uziel, El-Yaniv, Bias-reduced uncertainty estimation, ICLR (2019).

    >>> aurc(np.array([0.9, 0.8]), np.array([1.0, 0.0]))
    0.25
    """
    return float(risk_coverage(confidence, correct).risk.mean())


def accuracy_at_coverage(
    confidence: Values, correct: Values, coverage: float, asked: int | None = None
) -> float | None:
    """Return the correctness of the most confident answers; None if there are too few answers.

    Args:
        confidence: (n,), 0..1.
        correct: (n,), 0..1.
        coverage: Share of the questions to answer, above 0, up to 1; rounded up to whole answers.
        asked: Questions, unanswered ones included; n if not given.

    Raises:
        InputError: As `risk_coverage`, or the coverage is not in 0..1.

    >>> accuracy_at_coverage(np.array([0.9, 0.8, 0.7]), np.array([1.0, 1.0, 0.0]), 0.5)
    1.0
    """
    if not 0 < coverage <= 1:
        raise InputError(f"the coverage is {coverage}; give a share above 0, up to 1")
    curve = risk_coverage(confidence, correct, asked)
    needed = math.ceil(coverage * (asked or len(confidence)) - 1e-9)
    return float(1 - curve.risk[needed - 1]) if needed <= len(curve.risk) else None


def _check(confidence: Values, correct: Values) -> None:
    if confidence.ndim != 1 or confidence.shape != correct.shape or not len(confidence):
        raise InputError(
            f"{confidence.shape} confidences and {correct.shape} outcomes; give one of each for "
            "every answer, and at least one"
        )
    for name, values in (("confidence", confidence), ("correctness", correct)):
        if not ((values >= 0) & (values <= 1)).all():
            raise InputError(f"a {name} is not in 0..1; check the scale of the subject's reply")
