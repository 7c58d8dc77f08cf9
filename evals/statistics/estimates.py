"""Means with intervals: of a run, and of its slices."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from overread.evals.records import Record
from overread.evals.statistics.bootstrap import RESAMPLES, SEED, mean_interval
from overread.evals.statistics.power import power_note
from overread.evals.statistics.values import ItemValue, values_of
from overread.imaging.errors import InputError

NOT_GIVEN = "not given"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over items.

    Attributes:
        mean: Failed items included.
        low, high: Of the 95 % interval by cluster; not a number for a single cluster.
        standard_error: Of the mean.
        n: Items in the mean.
        clusters: They come from.
        failed: Of the n, items of which an epoch failed.
        without: Items not in the mean, as this metric does not speak of them.
    """

    mean: float
    low: float
    high: float
    standard_error: float
    n: int
    clusters: int
    failed: int
    without: int

    @property
    def note(self) -> str:
        """Return what so many items could show of the difference to another run alike."""
        return power_note(self.n, self.clusters, self.standard_error * math.sqrt(2))


def estimate(
    records: Sequence[Record],
    metric: str | None = None,
    failed_as: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Return the mean of a run with its interval.

    Args:
        records: Of one subject, all epochs.
        metric: A name in `scores`; None takes each record's own `main`.
        failed_as: What a failure counts as, see `values_of`.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        InputError: As `values_of`, or no record has the metric.
    """
    values = values_of(records, metric, failed_as)
    if not values.items:
        raise InputError(f"no record has a score {metric or 'of its own'}; nothing to average")
    return estimate_items(values.items, values.without, resamples, seed)


def estimate_items(
    items: Sequence[ItemValue], without: int = 0, resamples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """Return the mean of items, at least one, with its interval."""
    numbers = np.array([item.value for item in items])
    clusters = [item.cluster for item in items]
    bounds = (0.0, 1.0) if numbers.min() >= 0 and numbers.max() <= 1 else None
    interval = mean_interval(numbers, clusters, bounds, resamples, seed)
    return Estimate(
        mean=float(numbers.mean()),
        low=interval.low,
        high=interval.high,
        standard_error=interval.standard_error,
        n=len(items),
        clusters=len(set(clusters)),
        failed=sum(item.failed for item in items),
        without=without,
    )


def by_slice(
    records: Sequence[Record],
    name: str,
    metric: str | None = None,
    failed_as: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """Return a table of means by the values of a slice, in their order; no item is lost.

    Args:
        records: Of one subject, all epochs.
        name: In `Record.slices`, e.g. "modality". Items without it come last as "not given".
        metric: As `estimate`.
        failed_as: As `estimate`.
        resamples: As `estimate`.
        seed: As `estimate`.

    Raises:
        InputError: As `values_of`.
    """
    levels: dict[str, list[Record]] = {}
    for record in records:
        levels.setdefault(record.slices.get(name) or NOT_GIVEN, []).append(record)
    table = {}
    for level in in_order(levels):
        values = values_of(levels[level], metric, failed_as)
        if values.items:
            table[level] = estimate_items(values.items, values.without, resamples, seed)
    return table


def in_order(levels: Iterable[str]) -> list[str]:
    """Sort the values of a slice, "not given" last."""
    return sorted(levels, key=lambda level: (level == NOT_GIVEN, level))
