"""Curves of the raw reward of each dataset and task in runs of GRPO, side by side.

    python -m overread.training.experiments.reward_curves normalised=runs/grpo raw=runs/grpo-raw \
        --plot curves.png

A run is a name and a folder of `overread train grpo`. Whatever the runs were paid, the curves are of raw
rewards, so they can be compared. A dataset has *fallen* where its last third lies below its first by
more than two standard errors of the difference: the collapse that MedGRPO (arXiv:2512.06581) reports.
Runs of one seed and mix meet the same prompts at the same step, so they are also told apart step by step.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from overread.imaging.errors import InputError
from overread.training.guards import checkpoints

PREFIX = "raw/"
STATE = "trainer_state.json"

Curves = Mapping[str, NDArray[np.float64]]
"""By "dataset/task": step and mean raw reward of its completions in that step, (steps, 2)."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A curve in short.

    Attributes:
        steps: How many the dataset was in.
        first, last: Mean over the first and the last third.
        lowest: Smallest mean over a tenth of the curve, at least three steps.
        error: Standard error of `last - first`.
    """

    steps: int
    first: float
    last: float
    lowest: float
    error: float

    @property
    def fell(self) -> bool:
        """Whether the end lies below the beginning by more than chance."""
        return self.last - self.first < -2 * self.error


def curves_of(run: Path) -> Curves:
    """Return the curves of a run.

    Raises:
        InputError: There is no log of raw rewards in the folder.
    """
    places = [run / STATE, *(place / STATE for place in reversed(checkpoints(run)))]
    state = next((place for place in places if place.is_file()), None)
    if state is None:
        raise InputError(
            f"{run} holds no {STATE}; give the folder of a run of 'overread train grpo'"
        )
    points: dict[str, list[tuple[float, float]]] = {}
    for row in json.loads(state.read_text("utf-8"))["log_history"]:
        for name, value in row.items():
            if name.startswith(PREFIX):
                points.setdefault(name.removeprefix(PREFIX), []).append((row["step"], value))
    if not points:
        raise InputError(f"{state} has no raw rewards; was this a run of 'overread train grpo'?")
    return {name: np.array(points[name], dtype=float) for name in sorted(points)}


def trend(curve: NDArray[np.float64]) -> Trend:
    """Return a curve in short.

    Raises:
        InputError: It has fewer than six steps.
    """
    values = curve[:, 1]
    if len(values) < 6:
        raise InputError(f"a curve has {len(values)} steps; six are needed to speak of a trend")
    third, window = len(values) // 3, max(3, len(values) // 10)
    first, last = values[:third], values[-third:]
    means = np.convolve(values, np.ones(window) / window, "valid")
    error = np.sqrt(first.var(ddof=1) / third + last.var(ddof=1) / third)
    return Trend(
        len(values), float(first.mean()), float(last.mean()), float(means.min()), float(error)
    )


def paired(curve: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean difference to another run in the steps that both have, and its standard error.

    Raises:
        InputError: They have fewer than six steps in common.
    """
    values = dict(other.tolist())
    gaps = np.array([value - values[step] for step, value in curve.tolist() if step in values])
    if len(gaps) < 6:
        raise InputError(
            f"the runs have {len(gaps)} steps in common; six are needed to compare them"
        )
    return float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(len(gaps)))


def table(runs: Sequence[tuple[str, Curves]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown, a line a dataset and task."""
    (first, reference), others = runs[0], runs[1:]
    heads = [name for name, _ in runs] + [f"{name} less {first}, by step" for name, _ in others]
    yield "| dataset/task | " + " | ".join(heads) + " |"
    yield "|---" * (len(heads) + 1) + "|"
    for kind in sorted({kind for _, curves in runs for kind in curves}):
        cells = [_cell(curves.get(kind)) for _, curves in runs]
        cells += [_difference(curves.get(kind), reference.get(kind)) for _, curves in others]
        yield f"| {kind} | " + " | ".join(cells) + " |"


def _cell(curve: NDArray[np.float64] | None) -> str:
    if curve is None or len(curve) < 6:
        return "-"
    told = trend(curve)
    word = ", **fell**" if told.fell else ""
    return (
        f"{told.first:.3f} → {told.last:.3f} (± {2 * told.error:.3f}; lowest {told.lowest:.3f}, "
        f"{told.steps} steps{word})"
    )


def _difference(curve: NDArray[np.float64] | None, reference: NDArray[np.float64] | None) -> str:
    if curve is None or reference is None or len(np.intersect1d(curve[:, 0], reference[:, 0])) < 6:
        return "-"
    mean, error = paired(curve, reference)
    return f"{mean:+.3f} (± {2 * error:.3f})"


def plot(runs: Sequence[tuple[str, Curves]], out: Path) -> None:
    """Draw a panel for each dataset and task: steps faint, their running mean over them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = sorted({kind for _, curves in runs for kind in curves})
    figure = Figure(figsize=(3.2 * len(kinds), 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(kinds), squeeze=False)[0]
    for panel, kind in zip(panels, kinds, strict=True):
        for number, (name, curves) in enumerate(runs):
            if (curve := curves.get(kind)) is None:
                continue
            steps, values = curve.T
            width = max(1, len(values) // 10)
            smooth = np.convolve(values, np.ones(width) / width, "valid")
            panel.plot(steps, values, color=f"C{number}", alpha=0.2)
            panel.plot(steps[width - 1 :], smooth, color=f"C{number}", label=name)
        panel.set(title=kind, xlabel="step", ylim=(0, None))
    panels[0].set_ylabel("raw reward")
    panels[0].legend()
    figure.savefig(out, dpi=120)


def main() -> None:
    """Parse the command line, print the table, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--plot", type=Path, help="PNG to write.")
    args = parser.parse_args()
    named = [text.partition("=") for text in args.runs]
    runs = [(name, curves_of(Path(folder))) for name, _, folder in named]
    for line in table(runs):
        Console(soft_wrap=True).print(line, markup=False, highlight=False)
    if args.plot is not None:
        plot(runs, args.plot)


if __name__ == "__main__":
    main()
