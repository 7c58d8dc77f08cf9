"""Does a subject serve some groups of patients worse than others?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from overread.evals.records import Record
from overread.evals.statistics.bootstrap import (
    CONFIDENCE,
    SEED,
    cluster_sums,
    mean_interval,
    resample,
)
from overread.evals.statistics.estimates import NOT_GIVEN, Estimate, estimate_items, in_order
from overread.evals.statistics.power import FEW_CLUSTERS, smallest_difference
from overread.evals.statistics.values import ItemValue, values_of

ATTRIBUTES = (
    "sex", "gender", "age_group", "ethnicity", "race", "skin_type", "insurance",
    "country", "site", "hospital", "scanner", "manufacturer", "device",
)  # fmt: skip
"""Who was imaged, then where and on what: names of slices that groups are compared by."""

_RESAMPLES = 10_000  # the correction for many pairs looks far into the tails


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a group lies behind the best one.

    Attributes:
        gap: Mean of the best group minus that of this one, so never below 0.
        low, high: Of its 95 % interval by cluster, corrected for having picked among all pairs of
            groups (Bonferroni). 0 inside: the two may well be served alike.
    """

    gap: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """What lies between the groups of one attribute.

    Attributes:
        attribute: E.g. "sex".
        groups: Means of the groups that are large enough to be ranked, in their order.
        small: Means of the others; items whose group is not given are always among them.
        could_show: Of each group, the true difference to all other items that would be found four
            times in five; not a number where nothing varies or there are no other items.
        best: Group with the largest mean; None with fewer than two groups.
        behind: Of each other group in `groups`; empty with fewer than two.
    """

    attribute: str
    groups: dict[str, Estimate]
    small: dict[str, Estimate]
    could_show: dict[str, float]
    best: str | None = None
    behind: dict[str, Behind] = field(default_factory=dict)


def fairness(
    records: Sequence[Record],
    attributes: Sequence[str] = ATTRIBUTES,
    metric: str | None = None,
    failed_as: float = 0.0,
    least: int = FEW_CLUSTERS,
    seed: int = SEED,
) -> list[Gaps]:
    """Return how far each group is served worse than the best one, attribute by attribute.

    Args:
        records: Of one subject, all epochs.
        attributes: Names in `Record.slices`; those that no item has are left out.
        metric: As `evals.statistics.estimates.estimate`.
        failed_as: As there.
        least: Clusters (patients) that a group needs to be ranked.
        seed: Of the bootstrap.

    Raises:
        InputError: As `values_of`.
    """
    items = values_of(records, metric, failed_as).items
    known = [name for name in attributes if any(item.slices.get(name) for item in items)]
    return [_gaps(name, items, least, seed) for name in known]


def _gaps(attribute: str, items: Sequence[ItemValue], least: int, seed: int) -> Gaps:
    members: dict[str, list[ItemValue]] = {}
    for item in items:
        members.setdefault(item.slices.get(attribute) or NOT_GIVEN, []).append(item)
    means = {name: estimate_items(members[name], seed=seed) for name in in_order(members)}
    groups = {
        name: mean for name, mean in means.items() if name != NOT_GIVEN and mean.clusters >= least
    }
    small = {name: mean for name, mean in means.items() if name not in groups}
    could_show = {name: _could_show(name, members, mean, seed) for name, mean in means.items()}
    if len(groups) < 2:
        return Gaps(attribute, groups, small, could_show)
    best = max(groups, key=lambda name: groups[name].mean)
    ranked = {name: members[name] for name in groups}
    behind = _behind(best, ranked, seed)
    alike = [name for name in groups if not groups[name].standard_error]
    for name in behind:
        if name in alike or best in alike:
            behind[name] = _apart(ranked[best], ranked[name], _tail(len(groups)), seed)
    return Gaps(attribute, groups, small, could_show, best, behind)


def _could_show(name: str, members: dict[str, list[ItemValue]], mean: Estimate, seed: int) -> float:
    others = [item for group, items in members.items() if group != name for item in items]
    if not others or not mean.standard_error:
        return math.nan
    rest = estimate_items(others, seed=seed).standard_error
    return smallest_difference(math.hypot(mean.standard_error, rest))


def _behind(best: str, groups: dict[str, list[ItemValue]], seed: int) -> dict[str, Behind]:
    """Draw all groups together: a patient seen by two scanners is in both or in neither."""
    names = list(groups)
    chosen = [(item, column) for column, name in enumerate(names) for item in groups[name]]
    columns = np.zeros((len(chosen), 2 * len(names)))
    for row, (item, column) in enumerate(chosen):
        columns[row, 2 * column : 2 * column + 2] = item.value, 1
    sums = cluster_sums(columns, [item.cluster for item, _ in chosen])
    drawn = resample(sums, _RESAMPLES, seed)
    drawn = drawn[(drawn[:, 1::2] > 0).all(axis=1)]
    means = drawn[:, ::2] / drawn[:, 1::2]
    mean = sums[:, ::2].sum(axis=0) / sums[:, 1::2].sum(axis=0)
    top, tail, found = names.index(best), _tail(len(names)), {}
    for place, name in enumerate(names):
        if name == best:
            continue
        low, high = np.quantile(means[:, top] - means[:, place], [tail, 1 - tail])
        found[name] = Behind(float(mean[top] - mean[place]), float(low), float(high))
    return found


def _apart(best: Sequence[ItemValue], other: Sequence[ItemValue], tail: float, seed: int) -> Behind:
    """Square and add the groups' own intervals, for groups that scored the same throughout.

    Draws of them do not vary: 30 of 30 right against 30 of 30 would be alike beyond doubt.

    Source: Newcombe, Interval estimation for the difference between independent proportions,
    Statist Med 17:873 (1998), with the intervals of `estimate`.
    """
    (top, top_low, top_high), (mean, low, high) = (
        _mean(items, tail, seed) for items in (best, other)
    )
    gap = top - mean
    return Behind(
        gap,
        gap - math.hypot(top - top_low, high - mean),
        gap + math.hypot(top_high - top, mean - low),
    )


def _mean(items: Sequence[ItemValue], tail: float, seed: int) -> tuple[float, float, float]:
    values = np.array([item.value for item in items])
    bounds = (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else None
    clusters = [item.cluster for item in items]
    interval = mean_interval(values, clusters, bounds, _RESAMPLES, seed, 1 - 2 * tail)
    return float(values.mean()), interval.low, interval.high


def _tail(groups: int) -> float:
    """Return the share on either side of an interval, corrected for the number of pairs."""
    return (1 - CONFIDENCE) / 2 / (groups * (groups - 1) / 2)
