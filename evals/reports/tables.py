"""The tables of a report, as cells to show."""

from collections.abc import Sequence

from overread.evals.reports.document import Table
from overread.evals.reports.labels import interval, number, p_value, points, share
from overread.evals.reports.numbers import PairRow, Row

_NUMBERS = ("score", "95 % interval", "n", "failed")


def main_table(rows: Sequence[Row]) -> Table:
    """Return subjects by benchmarks."""
    overall = [row for row in rows if not row.slice and not row.metric]
    return Table(
        "Mean score of each subject on each benchmark; failed items count as 0",
        ("benchmark", "subject", *_NUMBERS, "marked by"),
        tuple((row.benchmark, row.subject, *_cells(row), row.marked_by) for row in overall),
        words=2,
    )


def slice_tables(rows: Sequence[Row]) -> list[Table]:
    """Return a table for each way of cutting one benchmark."""
    cut = [row for row in rows if row.slice and not row.metric]
    names = dict.fromkeys(row.slice for row in cut)
    return [_slice_table(name, [row for row in cut if row.slice == name]) for name in names]


def _slice_table(name: str, rows: Sequence[Row]) -> Table:
    levels = list(dict.fromkeys(row.level for row in rows))
    ordered = sorted(rows, key=lambda row: levels.index(row.level))
    words = name.replace("_", " ")
    return Table(
        f"Score by {words}",
        (words, "subject", *_NUMBERS),
        tuple((row.level, row.subject, *_cells(row)) for row in ordered),
        words=2,
    )


def metrics_table(rows: Sequence[Row]) -> Table:
    """Return every metric of one benchmark."""
    return Table(
        "Every metric, over the items that it speaks of",
        ("metric", "subject", *_NUMBERS),
        tuple((row.metric, row.subject, *_cells(row)) for row in rows if row.metric),
        words=2,
    )


def pairs_table(pairs: Sequence[PairRow]) -> Table:
    """Return the comparisons of two subjects on the items that both were asked."""
    return Table(
        "A minus B on the items that both were asked, in percentage points",
        (
            "A",
            "B",
            "A \N{MINUS SIGN} B",
            "95 % interval",
            "p",
            "McNemar p",
            "A scores",
            "B scores",
            "n",
        ),
        tuple(map(_pair, pairs)),
        words=2,
    )


def _pair(pair: PairRow) -> tuple[str, ...]:
    found = pair.comparison
    return (
        pair.first,
        pair.second,
        points(found.difference),
        interval(found.low, found.high),
        p_value(found.p),
        p_value(found.p_mcnemar),
        share(pair.mean_first),
        share(pair.mean_second),
        str(found.n),
    )


def _cells(row: Row) -> tuple[str, str, str, str]:
    found = row.estimate
    mean = number(found.mean, row.is_share)
    ends = interval(found.low, found.high, row.is_share)
    return mean, ends, str(found.n), str(found.failed)
