"""The plots of a report. Draws numbers; computes none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from overread.evals.reports.svg import GRID, MUTED, PAPER, inline, series, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_WIDTH = 3.5  # inches: below a phone's width, so that words stay legible there
_MOST_LETTERS = 24


@dataclass(frozen=True, slots=True)
class Point:
    """A share with its interval, of one group under one subject; all 0..1.

    A group that is not `ranked` is drawn hollow.
    """

    group: str
    subject: str
    value: float
    low: float
    high: float
    n: int
    ranked: bool = True


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of one subject: x and y of equal length, and how many answers each point stands for.

    `note` stands behind the subject in the legend, e.g. "ECE 0.08".
    """

    subject: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    note: str
    n: tuple[int, ...] = ()


def by_group(points: Sequence[Point], name: str, alt: str) -> Markup:
    """Draw shares with intervals, a row a group, subjects beside each other within it.

    Args:
        points: Groups and subjects in the order in which they first appear.
        name: Unique in the page.
        alt: What the plot shows.
    """
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys(point.group for point in points))
    subjects = list(dict.fromkeys(point.subject for point in points))
    step = 0.72 / len(subjects)
    with style():
        height = 0.75 + len(groups) * max(0.26, 0.17 * len(subjects))
        figure = Figure(figsize=(_WIDTH, height + 0.17 * len(subjects)))
        axes = figure.add_subplot()
        for number, subject in enumerate(subjects):
            own = [point for point in points if point.subject == subject]
            colour, marker = series(number)
            places = [groups.index(point.group) + (number + 0.5) * step - 0.36 for point in own]
            values = [point.value for point in own]
            below = [max(0.0, point.value - point.low) for point in own]
            above = [max(0.0, point.high - point.value) for point in own]
            axes.errorbar(
                values, places, xerr=[below, above], fmt="none", ecolor=colour, elinewidth=1.4,
                capsize=2.2,
            )  # fmt: skip
            faces = [colour if point.ranked else PAPER for point in own]
            axes.scatter(values, places, s=20, c=faces, edgecolors=colour, marker=marker, zorder=3)
            axes.plot([], [], marker, color=colour, markersize=4.5, label=_short(subject))
        counts = [max(point.n for point in points if point.group == group) for group in groups]
        labels = [f"{_short(group)} ({n})" for group, n in zip(groups, counts, strict=True)]
        axes.set_yticks(range(len(groups)), labels)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        for place in range(1, len(groups)):
            axes.axhline(place - 0.5, color=GRID, linewidth=0.6)
        _percent(axes.xaxis)
        axes.set_xlim(-0.03, 1.03)
        if len(subjects) > 1:
            _legend_above(axes)
        return inline(figure, name, alt)


def reliability(curves: Sequence[Curve], name: str, alt: str) -> Markup:
    """Draw how often answers of each confidence are right; the diagonal is perfect calibration."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(_WIDTH, 2.8 + 0.17 * len(curves)))
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
        for number, curve in enumerate(curves):
            colour, marker = series(number)
            most = max(curve.n)
            axes.plot(curve.x, curve.y, color=colour, linewidth=1.4)
            axes.plot([], [], color=colour, marker=marker, markersize=4.5, label=_named(curve))
            sizes = [8 + 48 * count / most for count in curve.n]
            axes.scatter(curve.x, curve.y, s=sizes, color=colour, marker=marker)
        _unit_square(axes)
        axes.set_xlabel("confidence (larger marks: more answers)")
        axes.set_ylabel("answers that are right")
        _legend_above(axes)
        return inline(figure, name, alt)


def risk_coverage(curves: Sequence[Curve], name: str, alt: str) -> Markup:
    """Draw the error among the answers kept, when the least confident are left out first."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    with style():
        figure = Figure(figsize=(_WIDTH, 2.3 + 0.17 * len(curves)))
        axes = figure.add_subplot()
        for number, curve in enumerate(curves):
            colour, marker = series(number)
            axes.plot(
                curve.x, curve.y, color=colour, linewidth=1.6, label=_named(curve), marker=marker,
                markersize=4.5, markevery=[len(curve.x) - 1],
            )  # fmt: skip
        highest = max(max(curve.y) for curve in curves)
        _percent(axes.xaxis)
        axes.set_xlim(0, 1.03)
        axes.set_ylim(0, max(0.05, min(1.03, highest * 1.1)))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("answers kept, most confident first")
        axes.set_ylabel("wrong among them")
        _legend_above(axes)
        return inline(figure, name, alt)


def _named(curve: Curve) -> str:
    return f"{_short(curve.subject)}, {curve.note}"


def _short(text: str) -> str:
    """Shorten a name in its middle, so that words stay legible: a wide drawing is scaled down."""
    half = _MOST_LETTERS // 2
    return text if len(text) <= _MOST_LETTERS else f"{text[:half]}…{text[-half:]}"


def _percent(axis: "Axis") -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_ticks([0.0, 0.25, 0.5, 0.75, 1.0])
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _unit_square(axes: "Axes") -> None:
    _percent(axes.xaxis)
    _percent(axes.yaxis)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)


def _legend_above(axes: "Axes") -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.3, handletextpad=0.6)
