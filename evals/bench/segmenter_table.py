"""How well segmenters follow clicks and boxes: Dice after 1, 3 and 5, beside classical methods.

    python -m overread.evals.bench.segmenter_table --phantoms 60 --out runs/segmenter-table
    python -m overread.evals.bench.segmenter_table --real DATA --out runs/segmenter-table

Every method gets the same clicks, which look at the truth alone. Objects: of each phantom of a test
patient every target's largest region; of each real picture with masks (`--real`, a folder with
`manifest.jsonl`) its mask, or some of its instances. Intervals are of 95 %, over pictures.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from scipy.stats import spearmanr

from overread.evals.bench.classical import ByPrompts, classical
from overread.evals.bench.click_prompts import clicks_on
from overread.evals.bench.segmenter_cases import Case, phantom_cases, real_cases
from overread.evals.metrics.segmentation import dice
from overread.evals.statistics.bootstrap import mean_interval
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.study import Image, Mask
from overread.tools.quality import quality_by_jitter, quality_of
from overread.tools.sam_segmenter import around
from overread.tools.segmenter import Box, Point, Segmentation, Segmenter
from overread.tools.segmenters import BUNDLED, load_segmenter

STEPS = (1, 3, 5)
BOX = 0
"""Stands for a box in the place of a number of clicks."""
AGAIN = ", with its last mask"

Method = Callable[
    [Image, Sequence[Point], Box | None, Mask | None], tuple[Mask, Segmentation | None]
]


@dataclass(frozen=True, slots=True)
class Row:
    """What one method made of one object after so many clicks; `BOX` stands for a box alone."""

    group: str
    cluster: str
    name: str
    method: str
    clicks: int
    dice: float
    ms: float
    expected: float | None = None
    by_jitter: float | None = None
    confidence: float | None = None


def methods(models: Sequence[str]) -> dict[str, Method]:
    """Return what is compared: segmenters by folder or name, each twice, and classical methods."""
    found: dict[str, Method] = {}
    for model in models:
        segmenter = load_segmenter(model)

        def fresh(
            image: Image,
            points: Sequence[Point],
            box: Box | None,
            last: Mask | None,
            ours: Segmenter = segmenter,
        ) -> tuple[Mask, Segmentation]:
            made = ours.segment(image, points=points, box=box)
            return made.mask, made

        def again(
            image: Image,
            points: Sequence[Point],
            box: Box | None,
            last: Mask | None,
            ours: Segmenter = segmenter,
        ) -> tuple[Mask, Segmentation]:
            given = last if last is not None and last.any() else None
            made = ours.segment(image, points=points, box=box, previous=given)
            return made.mask, made

        name = "bundled network" if model == BUNDLED else segmenter.version
        found[name], found[name + AGAIN] = fresh, again
    for name, by_prompts in classical().items():

        def plain(
            image: Image,
            points: Sequence[Point],
            box: Box | None,
            last: Mask | None,
            run: ByPrompts = by_prompts,
        ) -> tuple[Mask, None]:
            return run(image, points, box), None

        found[name] = plain
    return found


def measure(cases: Sequence[Case], models: Sequence[str], progress: Progress) -> list[Row]:
    """Return a row for each object, method and number of clicks."""
    compared, rows = methods(models), []
    main = load_segmenter(models[0])
    first = next(iter(compared))
    task = progress.add_task("objects", total=len(cases))
    for number, case in enumerate(cases):
        clicks = clicks_on(case.truth, seed=number)
        for name, method in compared.items():
            last: Mask | None = None
            # A copy: features that another method left behind must not make this one faster.
            image = Image(
                case.image.ref,
                case.image.pixels.copy(),
                case.image.modality,
                case.image.spacing_mm,
                case.image.window,
            )
            for count in range(1, STEPS[-1] + 1):
                if count not in STEPS and not name.endswith(AGAIN):
                    continue
                began = time.perf_counter()
                last, made = method(image, clicks[:count], None, last)
                ms = 1000 * (time.perf_counter() - began)
                if count not in STEPS:
                    continue
                thought: tuple[float | None, float | None, float | None] = (None, None, None)
                if made is not None and name == first:
                    moved = quality_by_jitter(main, image, made, points=clicks[:count])
                    thought = (quality_of(made).dice, moved.dice, made.confidence)
                score = dice(last, case.truth)
                rows.append(
                    Row(case.group, case.cluster, case.name, name, count, score, ms, *thought)
                )
            if not name.endswith(AGAIN):
                began = time.perf_counter()
                mask, _ = method(image, (), around(case.truth), None)
                ms = 1000 * (time.perf_counter() - began)
                score = dice(mask, case.truth)
                rows.append(Row(case.group, case.cluster, case.name, name, BOX, score, ms))
        progress.advance(task)
    return rows


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return rows by group: all phantoms, all real pictures, and each kind by itself."""
    found: dict[str, list[Row]] = defaultdict(list)
    for kind in ("phantoms", "real"):
        every = [row for row in rows if row.group.startswith(kind)]
        if every:
            found[f"{kind}, all"] = every
        for row in every:
            found[row.group].append(row)
    return found


def summary(rows: Sequence[Row]) -> str:
    """Return the tables as Markdown."""
    names = list(dict.fromkeys(row.method for row in rows))
    lines = [
        "| objects | method | Dice, 1 click | 3 clicks | 5 clicks | a box | ms, first | ms, later |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group, members in groups(rows).items():
        count = len({(r.cluster, r.name) for r in members})
        for name in names:
            own = [row for row in members if row.method == name]
            cells = [_interval(own, step, lambda row: row.dice) for step in (*STEPS, BOX)]
            times = [
                float(np.median([row.ms for row in own if (row.clicks == 1) == early]))
                for early in (True, False)
            ]
            lines.append(
                f"| {group} ({count}) | {name} | {' | '.join(cells)} | {times[0]:.0f} | "
                f"{times[1]:.0f} |"
            )
    return "\n".join([*lines, "", *_differences(rows, names), "", *_estimates(rows, names[0])])


def _differences(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """Return by how much the first method leads each other one, on the same objects."""
    lines = [
        f"| Dice of the {names[0]} minus that of | objects | 1 click | 3 clicks | 5 clicks | a box |",
        "|---|---|---|---|---|---|",
    ]
    ours = {_key(row): row.dice for row in rows if row.method == names[0]}

    def lead(row: Row) -> float:
        return ours[_key(row)] - row.dice

    for group, members in groups(rows).items():
        for name in names[1:]:
            theirs = [row for row in members if row.method == name]
            cells = [_interval(theirs, step, lead, signed=True) for step in (*STEPS, BOX)]
            lines.append(f"| {name} | {group} | {' | '.join(cells)} |")
    return lines


def _estimates(rows: Sequence[Row], name: str) -> list[str]:
    """Return how the estimates of quality go along with the true Dice: Spearman's rank."""
    lines = [
        f"| {name}: rank correlation with the true Dice | 1 click | 3 clicks | 5 clicks |",
        "|---|---|---|---|",
    ]
    for group, members in groups(rows).items():
        if not group.endswith("all"):
            continue
        for label, field in (
            ("expected Dice, own probabilities", "expected"),
            ("expected Dice, moved prompts", "by_jitter"),
            ("confidence", "confidence"),
        ):
            cells = []
            for step in STEPS:
                own = [row for row in members if row.method == name and row.clicks == step]
                told = spearmanr([getattr(row, field) for row in own], [row.dice for row in own])
                cells.append(f"{told.statistic:.2f}")
            lines.append(f"| {label}; {group} | {' | '.join(cells)} |")
    return lines


def _key(row: Row) -> tuple[str, str, str, int]:
    return row.group, row.cluster, row.name, row.clicks


def _interval(
    rows: Sequence[Row], clicks: int, value: Callable[[Row], float], signed: bool = False
) -> str:
    own = [row for row in rows if row.clicks == clicks]
    if not own:
        return "-"
    values = np.array([value(row) for row in own])
    told = mean_interval(values, [row.cluster for row in own], None if signed else (0.0, 1.0))
    sign = "+" if signed else ""
    return f"{values.mean():{sign}.2f} ({told.low:{sign}.2f} to {told.high:{sign}.2f})"


def main() -> None:
    """Measure, print the tables, and write them with every row beside."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=56, help="phantoms of test patients")
    parser.add_argument("--real", type=Path, help="folder with manifest.jsonl and masks")
    parser.add_argument(
        "--segmenter", action="append", help="'bundled' or a model's folder; may be repeated"
    )
    parser.add_argument("--out", type=Path, help="folder for table.md and rows.jsonl")
    asked = parser.parse_args()
    if asked.real is not None and not (asked.real / "manifest.jsonl").is_file():
        parser.error(f"there is no {asked.real / 'manifest.jsonl'}")
    torch.set_num_threads(1)
    cases = list(phantom_cases(asked.phantoms))
    if asked.real is not None:
        cases += real_cases(asked.real)
    console = Console(stderr=True)
    with Progress(console=console) as progress:
        rows = measure(cases, asked.segmenter or [BUNDLED], progress)
    told = summary(rows)
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        write_whole(asked.out / "table.md", told + "\n", mode=ORDINARY)
        lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
        write_whole(asked.out / "rows.jsonl", lines, mode=ORDINARY)
    Console(width=200).print(told, markup=False)


if __name__ == "__main__":
    main()
