"""Does a subject serve some groups of patients worse than others?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overread.evals.records import Record
from overread.evals.statistics.bootstrap import CONFIDENCE, SEED, cluster_sums, resample
from overread.evals.statistics.estimates import NOT_GIVEN, Estimate, estimate_items, in_order
from overread.evals.statistics.power import FEW_CLUSTERS
from overread.evals.statistics.values import ItemValue, values_of

ATTRIBUTES = ("sex", "age_group", "scanner")
_RESAMPLES = 10_000  # the correction for many pairs looks far into the tails


@dataclass(frozen=True, slots=True)
class Gap:
    """What lies between the groups of one attribute.

    Attributes:
        attribute: E.g. "sex".
        groups: Means of the groups that are large enough.
        left_out: Items of the others, by group.
        highest, lowest: Groups with the largest and the smallest mean; None with fewer than two
            groups, as are `gap`, `low` and `high`.
        gap: Between their means.
        low, high: Of its 95 % interval by cluster, corrected for having picked the widest gap of
            all pairs of groups (Bonferroni). 0 inside: the groups may well be served alike.
    """

    attribute: str
    groups: dict[str, Estimate]
    left_out: dict[str, int]
    highest: str | None = None
    lowest: str | None = None
    gap: float | None = None
    low: float | None = None
    high: float | None = None


def fairness(
    records: Sequence[Record],
    attributes: Sequence[str] = ATTRIBUTES,
    metric: str | None = None,
    failed_as: float = 0.0,
    least: int = FEW_CLUSTERS,
    seed: int = SEED,
) -> list[Gap]:
    """Return the gap between the best and the worst served group, attribute by attribute.

    Args:
        records: Of one subject, all epochs.
        attributes: Names in `Record.slices`; those that no item has are left out.
        metric: As `evals.statistics.estimates.estimate`.
        failed_as: As there.
        least: Clusters (patients) that a group needs to be compared. Items whose group is not
            given are never compared.
        seed: Of the bootstrap.

    Raises:
        InputError: As `values_of`.
    """
    items = values_of(records, metric, failed_as).items
    known = [name for name in attributes if any(item.slices.get(name) for item in items)]
    return [_gap(name, items, least, seed) for name in known]


def _gap(attribute: str, items: Sequence[ItemValue], least: int, seed: int) -> Gap:
    members: dict[str, list[ItemValue]] = {}
    for item in items:
        members.setdefault(item.slices.get(attribute) or NOT_GIVEN, []).append(item)
    names = [
        name
        for name in in_order(members)
        if name != NOT_GIVEN and len({item.cluster for item in members[name]}) >= least
    ]
    groups = {name: estimate_items(members[name], seed=seed) for name in names}
    left_out = {name: len(members[name]) for name in in_order(members) if name not in groups}
    if len(groups) < 2:
        return Gap(attribute, groups, left_out)
    highest = max(names, key=lambda name: groups[name].mean)
    lowest = min((name for name in names if name != highest), key=lambda name: groups[name].mean)
    # Drawn together: a patient seen by two scanners is in both groups or in neither.
    chosen = [(item, column) for column, name in enumerate(names) for item in members[name]]
    columns = np.zeros((len(chosen), 2 * len(names)))
    for row, (item, column) in enumerate(chosen):
        columns[row, 2 * column : 2 * column + 2] = item.value, 1
    drawn = resample(cluster_sums(columns, [item.cluster for item, _ in chosen]), _RESAMPLES, seed)
    drawn = drawn[(drawn[:, 1::2] > 0).all(axis=1)]
    means = drawn[:, ::2] / drawn[:, 1::2]
    gaps = means[:, names.index(highest)] - means[:, names.index(lowest)]
    tail = (1 - CONFIDENCE) / 2 / (len(names) * (len(names) - 1) / 2)
    low, high = np.quantile(gaps, [tail, 1 - tail])
    gap = groups[highest].mean - groups[lowest].mean
    return Gap(attribute, groups, left_out, highest, lowest, gap, float(low), float(high))
