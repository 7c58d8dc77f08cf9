"""The fairness section of a report: groups of patients and devices beside the best of them."""

import math
from collections.abc import Sequence

from overread.evals.reports.document import Fairness, Plot, Table
from overread.evals.reports.drawing import groups_plot, point
from overread.evals.reports.labels import interval, number
from overread.evals.reports.numbers import GapsRow
from overread.evals.statistics.estimates import NOT_GIVEN, Estimate, in_order
from overread.evals.statistics.power import FEW_CLUSTERS

BEST, NOT_RANKED, ALONE = "best", "not ranked", "alone"
_HEADER = (
    "score", "95 % interval", "n", "cases", "behind the best (95 % interval)", "could show",
)  # fmt: skip


def fairness_views(rows: Sequence[GapsRow], prefix: str) -> list[Fairness]:
    """Return what there is to show of each attribute of one benchmark.

    Args:
        rows: Of that benchmark.
        prefix: Makes names unique in the page.
    """
    attributes = dict.fromkeys(row.gaps.attribute for row in rows)
    return [
        _view(name, [row for row in rows if row.gaps.attribute == name], f"{prefix}-fair-{place}")
        for place, name in enumerate(attributes)
    ]


def _view(attribute: str, rows: Sequence[GapsRow], anchor: str) -> Fairness:
    words = attribute.replace("_", " ")
    unit = "; differences in percentage points" if all(row.is_share for row in rows) else ""
    table = Table(
        f"By {words}: each group beside the best one{unit}",
        ("subject", words, *_HEADER),
        tuple(cells for row in rows for cells in _rows(row)),
        words=2,
    )
    return Fairness(words, table, _plot(words, rows, anchor), tuple(_notes(words, rows)))


def _rows(row: GapsRow) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, mean in _means(row).items():
        ends = interval(mean.low, mean.high, row.is_share)
        numbers = (number(mean.mean, row.is_share), ends, str(mean.n), str(mean.clusters))
        smallest = row.gaps.could_show[name]
        shown = "" if math.isnan(smallest) else _gap(smallest, row.is_share)
        found.append((row.subject, name, *numbers, _behind(row, name), shown))
    return found


def _means(row: GapsRow) -> dict[str, Estimate]:
    """Return all groups in their order, ranked or not."""
    both = row.gaps.groups | row.gaps.small
    return {name: both[name] for name in in_order(both)}


def _behind(row: GapsRow, group: str) -> str:
    gaps = row.gaps
    if behind := gaps.behind.get(group):
        ends = interval(behind.low, behind.high, row.is_share)
        return f"{_gap(behind.gap, row.is_share)} ({ends})"
    if group in gaps.small:
        return NOT_RANKED
    return BEST if group == gaps.best else ALONE


def _gap(gap: float, is_share: bool) -> str:
    """Write a gap: of shares in percentage points."""
    return f"{100 * gap:.1f}" if is_share else f"{gap:.3g}"


def _plot(words: str, rows: Sequence[GapsRow], anchor: str) -> Plot | None:
    points = [
        point(name, row.subject, mean, ranked=name in row.gaps.groups)
        for row in rows
        if row.is_share
        for name, mean in _means(row).items()
    ]
    return groups_plot(words, points, anchor) if points else None


def _notes(words: str, rows: Sequence[GapsRow]) -> list[str]:
    """Say which groups are too small, what they could show, and where there is no gap at all."""
    told = []
    small = in_order({name for row in rows for name in row.gaps.small if name != NOT_GIVEN})
    if small:
        told.append(
            f"Fewer than {FEW_CLUSTERS} cases, so not ranked, and their intervals are rough: "
            f"{', '.join(small)}."
        )
    if alone := [row.subject for row in rows if row.gaps.best is None]:
        who = f"{', '.join(alone)}: f" if len(alone) < len(rows) else "F"
        told.append(
            f"{who}ewer than two groups by {words} have {FEW_CLUSTERS} cases; no gap is given."
        )
    return told
