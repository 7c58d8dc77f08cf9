"""From numbers to the plots of one benchmark: what is drawn, and what to read from it."""

import math
from collections.abc import Sequence

from overread.evals.metrics.calibration import (
    Judged,
    aurc,
    ece,
    judged,
    reliability,
    risk_coverage,
)
from overread.evals.reports.document import Plot
from overread.evals.reports.labels import Labelled, share
from overread.evals.reports.numbers import Row
from overread.evals.reports.plots import Curve, Point, by_group
from overread.evals.reports.plots import reliability as draw_reliability
from overread.evals.reports.plots import risk_coverage as draw_risk_coverage
from overread.evals.statistics.estimates import Estimate

RELIABILITY_BINS = 10
MOST_GROUPS = 24
"""Rows of one plot; the table below it has all groups."""


def plots(rows: Sequence[Row], runs: Sequence[Labelled], prefix: str) -> list[Plot]:
    """Return the plots of one benchmark.

    Args:
        rows: Of that benchmark: all groups of all subjects.
        runs: Of that benchmark.
        prefix: Makes names unique in the page.
    """
    drawn = []
    for place, name in enumerate(dict.fromkeys(row.slice for row in rows if row.slice)):
        own = [row for row in rows if row.slice == name and row.is_share]
        if own:
            points = [point(row.level, row.subject, row.estimate) for row in own]
            drawn.append(groups_plot(name.replace("_", " "), points, f"{prefix}-group-{place}"))
    told = [(run.label, judged(run.records)) for run in runs]
    told = [(label, answers) for label, answers in told if len(answers.confidence)]
    if told:
        drawn.append(_reliability(told, f"{prefix}-reliability"))
        drawn.append(_risk(told, f"{prefix}-risk"))
    return drawn


def point(group: str, subject: str, found: Estimate, ranked: bool = True) -> Point:
    """Return an estimate as it is drawn."""
    low, high = found.low, found.high
    if math.isnan(low):  # a single cluster has no interval
        low = high = found.mean
    return Point(group, subject, found.mean, low, high, found.n, ranked)


def groups_plot(words: str, points: Sequence[Point], anchor: str) -> Plot:
    """Return the plot of scores by group.

    Args:
        words: What the groups are by, e.g. "age group".
        points: At least one; all groups of all subjects.
        anchor: Unique in the page.
    """
    levels = list(dict.fromkeys(point.group for point in points))
    points = [point for point in points if point.group in levels[:MOST_GROUPS]]
    title = f"Score by {words}"
    caption = "95 % intervals; number of items in brackets."
    if not all(point.ranked for point in points):
        caption += " Hollow: too few cases to be ranked."
    if len(levels) > MOST_GROUPS:
        caption += f" The first {MOST_GROUPS} of {len(levels)} groups; all are in the table."
    best = max(points, key=lambda point: point.value)
    least = min(points, key=lambda point: point.value)
    alt = (
        f"{title}: highest {share(best.value)} ({best.group}, {best.subject}), "
        f"lowest {share(least.value)} ({least.group}, {least.subject}). Values in the table below."
    )
    return Plot(title, by_group(points, anchor, alt), caption)


def _reliability(told: list[tuple[str, Judged]], anchor: str) -> Plot:
    curves = []
    for label, answers in told:
        bins = reliability(answers.confidence, answers.correct, RELIABILITY_BINS)
        error = ece(answers.confidence, answers.correct, RELIABILITY_BINS)
        curves.append(
            Curve(
                label,
                tuple(part.confidence for part in bins),
                tuple(part.correct for part in bins),
                f"ECE {error:.3f} (n = {len(answers.confidence)})",
                tuple(part.n for part in bins),
            )
        )
    alt = "Reliability diagram. " + "; ".join(f"{line.subject}: {line.note}" for line in curves)
    caption = (
        "Below the dashed diagonal answers are surer than they are right. ECE: expected "
        f"calibration error, {RELIABILITY_BINS} bins; only answers that state a confidence."
    )
    return Plot("Reliability", draw_reliability(curves, anchor, alt), caption)


def _risk(told: list[tuple[str, Judged]], anchor: str) -> Plot:
    curves = []
    for label, answers in told:
        curve = risk_coverage(answers.confidence, answers.correct, answers.asked)
        area = aurc(answers.confidence, answers.correct)
        x, y = tuple(curve.coverage.tolist()), tuple(curve.risk.tolist())
        curves.append(Curve(label, x, y, f"AURC {area:.3f}"))
    alt = "Risk by coverage. " + "; ".join(
        f"{line.subject}: {line.note}, {share(line.y[-1])} wrong at {share(line.x[-1])} answered"
        for line in curves
    )
    caption = (
        "How many answers are wrong if only the most confident ones are given. A line ends where "
        "abstentions, failures and answers without a confidence begin. AURC: mean risk over it."
    )
    return Plot("Risk and coverage", draw_risk_coverage(curves, anchor, alt), caption)
