"""Two runs on the same items: is one better, and where?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from overread.evals.records import Record
from overread.evals.statistics.bootstrap import (
    AT_ONCE,
    RESAMPLES,
    SEED,
    Array,
    cluster_sums,
    mean_interval,
)
from overread.evals.statistics.estimates import NOT_GIVEN, in_order
from overread.evals.statistics.power import power_note
from overread.evals.statistics.values import ItemValue, Key, values_of
from overread.imaging.errors import InputError

FEW_DISCORDANT = 25  # fewer: the exact test; the chi-square approximation is poor there


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first run minus the second, item by item.

    Attributes:
        difference: Of the means; above 0 where the first scores higher.
        low, high: Of its 95 % interval, by the paired bootstrap of clusters.
        standard_error: Of the difference.
        p: Two-sided, by flipping the signs of clusters. Holm-corrected in tables of slices.
        p_mcnemar: Of McNemar's test, which takes items as independent; None unless every item
            is right (1) or wrong (0).
        n: Items in both runs.
        clusters: They come from.
        only_first, only_second: Items left out because the other run has not got them.
    """

    difference: float
    low: float
    high: float
    standard_error: float
    p: float
    p_mcnemar: float | None
    n: int
    clusters: int
    only_first: int
    only_second: int

    @property
    def note(self) -> str:
        """Return what so many pairs could show."""
        return power_note(self.n, self.clusters, self.standard_error)


def compare(
    first: Sequence[Record],
    second: Sequence[Record],
    metric: str | None = None,
    failed_as: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Compare two runs on the items that both have.

    Args:
        first: Records of one subject, all epochs.
        second: Of another, or of the same under other settings.
        metric: As `estimate`.
        failed_as: As `estimate`.
        resamples: As `estimate`.
        seed: As `estimate`.

    Raises:
        InputError: As `values_of`, or the runs share no item.
    """
    ours = {item.key: item for item in values_of(first, metric, failed_as).items}
    theirs = {item.key: item for item in values_of(second, metric, failed_as).items}
    return _compare(ours, theirs, resamples, seed)


def compare_by_slice(
    first: Sequence[Record],
    second: Sequence[Record],
    name: str,
    metric: str | None = None,
    failed_as: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Comparison]:
    """Compare two runs within each value of a slice; `p` is corrected for looking many times.

    Args:
        first: As `compare`.
        second: As `compare`.
        name: In `Record.slices`; the first run's values count. Items without it come last.
        metric: As `estimate`.
        failed_as: As `estimate`.
        resamples: As `estimate`.
        seed: As `estimate`.

    Raises:
        InputError: As `compare`.
    """
    ours = {item.key: item for item in values_of(first, metric, failed_as).items}
    theirs = {item.key: item for item in values_of(second, metric, failed_as).items}
    levels = {key: item.slices.get(name) or NOT_GIVEN for key, item in (theirs | ours).items()}
    table = {}
    for level in in_order({levels[key] for key in ours if key in theirs}):
        here, there = (
            {key: item for key, item in run.items() if levels[key] == level}
            for run in (ours, theirs)
        )
        table[level] = _compare(here, there, resamples, seed)
    corrected = holm([told.p for told in table.values()])
    return {
        level: replace(told, p=p) for (level, told), p in zip(table.items(), corrected, strict=True)
    }


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the two-sided p of McNemar's test; exact where few items are discordant.

    Args:
        first: (items,), right or wrong.
        second: Same items.

    Source: McNemar, Psychometrika 12:153 (1947), as in statsmodels.
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    table = [
        [int((first & second).sum()), only_first],
        [only_second, int((~first & ~second).sum())],
    ]
    return min(1.0, float(test(table, exact=only_first + only_second < FEW_DISCORDANT).pvalue))


def holm(p: Sequence[float]) -> list[float]:
    """Return p values corrected for their number, in the same order.

    Source: Holm, Scandinavian Journal of Statistics 6:65 (1979), as in statsmodels.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p, method="holm")[1]] if len(p) else []


def sign_flip_p(sums: Array, resamples: int = RESAMPLES, seed: int = SEED) -> float:
    """Return the two-sided p of a difference: how often random signs give one as large.

    If neither run were better, a cluster's difference could as well be the other way round.

    Args:
        sums: (clusters,), differences added up by cluster.
        resamples: How often to draw the signs; all of them are tried where that is less work.
        seed: Of the draws.

    Source: Fisher, The design of experiments (1935), chapter 3; Phipson, Smyth, Stat Appl Genet
    Mol Biol 9:39 (2010) for counting the data themselves among the draws.

    >>> sign_flip_p(np.ones(5))
    0.0625
    """
    moved = sums[sums != 0]  # a cluster without difference is the same under either sign
    reached = abs(moved.sum()) - 1e-9
    if 2 ** len(moved) <= resamples:
        signs = np.array(list(product((1.0, -1.0), repeat=len(moved))))
        return float((abs(signs @ moved) >= reached).mean())
    rng, hits = np.random.default_rng(seed), 0
    step = max(1, AT_ONCE // len(moved))
    for start in range(0, resamples, step):
        shape = (min(step, resamples - start), len(moved))
        signs = rng.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1
        hits += int((abs(signs @ moved) >= reached).sum())
    return (1 + hits) / (1 + resamples)


def _compare(
    ours: Mapping[Key, ItemValue], theirs: Mapping[Key, ItemValue], resamples: int, seed: int
) -> Comparison:
    keys = [key for key in ours if key in theirs]
    if not keys:
        raise InputError("the two runs share no item; compare runs of the same benchmark")
    first, second = (np.array([run[key].value for key in keys]) for run in (ours, theirs))
    clusters = [ours[key].cluster for key in keys]
    both = np.concatenate([first, second])
    bounds = (-1.0, 1.0) if both.min() >= 0 and both.max() <= 1 else None
    interval = mean_interval(first - second, clusters, bounds, resamples, seed)
    sums = cluster_sums((first - second)[:, None], clusters)[:, 0]
    marked = bool(np.isin(both, (0.0, 1.0)).all())
    return Comparison(
        difference=float((first - second).mean()),
        low=interval.low,
        high=interval.high,
        standard_error=interval.standard_error,
        p=sign_flip_p(sums, resamples, seed),
        p_mcnemar=mcnemar(first == 1, second == 1) if marked else None,
        n=len(keys),
        clusters=len(sums),
        only_first=len(ours) - len(keys),
        only_second=len(theirs) - len(keys),
    )
