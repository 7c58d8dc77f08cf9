"""One table of what each stage of training gained, from runs of the evaluation.

    overread eval run phantoms --subject agent --subject bare --limit 1000 --out runs/align/sft
    overread eval run phantom-readings --subject agent --limit 400 --out runs/align/sft-readings
    python -m overread.training.experiments.alignment_table base=runs/align/base sft=runs/align/sft

A stage is a name and a folder; all runs of the agent in "FOLDER" and "FOLDER-readings" are its
records. Differences are to the stage before, item by item, with intervals by the paired bootstrap of
patients.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.metrics import roc_auc_score

from overread.evals.records import Record
from overread.evals.runs import find_runs, read_run
from overread.evals.statistics.bootstrap import RESAMPLES, SEED
from overread.evals.statistics.comparison import compare
from overread.evals.statistics.estimates import estimate
from overread.imaging.errors import InputError

Records = Sequence[Record]


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of the table.

    Attributes:
        name: Its heading.
        pick: Which records it is about.
        metric: Of their scores; None takes what decides.
        share: Whether it is shown as a percentage.
    """

    name: str
    pick: Callable[[Record], bool]
    metric: str | None = None
    share: bool = True


def _kind(*kinds: str) -> Callable[[Record], bool]:
    return lambda record: record.slices.get("answer_type") in kinds


def _content(name: str) -> Callable[[Record], bool]:
    return lambda record: record.slices.get("content_type") == name


def _asked(record: Record) -> bool:
    return "answer_type" in record.slices


COLUMNS = (
    Column("closed accuracy", _kind("closed")),
    Column("closed, known scanners", lambda r: _kind("closed")(r) and not unseen(r)),
    Column("closed, unseen scanner", lambda r: _kind("closed")(r) and unseen(r)),
    Column("numbers within tolerance", _kind("number")),
    Column("open F1", _kind("open"), "token_f1"),
    Column("grounding IoU", _content("boxes")),
    Column("report finding-F1", _content("report")),
    Column("invented findings a report", _content("report"), "invented", share=False),
    Column("valid steps", lambda record: True, "valid_steps"),
    Column("task success", _asked, "success"),
    Column("citation precision", lambda record: True, "citation_precision"),
)
AUROC = "abstention AUROC"


def unseen(record: Record) -> bool:
    """Return whether the image is of the scanner that no training image is of."""
    return record.slices.get("scanner") == "held out"


def records_of(folder: Path) -> list[Record]:
    """Return the agent's records of a stage, each with its score "success".

    A task succeeds where the answer is right and no claim in it is without evidence.

    Raises:
        InputError: There is no run of the agent.
    """
    folders = [folder, folder.with_name(f"{folder.name}-readings")]
    runs = [read_run(run) for place in folders if place.is_dir() for run in find_runs(place)]
    rows = [row for run in runs for row in run.records if row.subject == "agent"]
    if not rows:
        raise InputError(
            f"there is no run of the agent in {folder}; make one by 'overread eval run'"
        )
    return [with_success(row) for row in rows]


def with_success(row: Record) -> Record:
    """Return a record with its success."""
    right = row.status == "scored" and row.value == 1 and not row.scores.get("hallucination")
    return row.model_copy(update={"scores": {**row.scores, "success": float(right)}})


def auroc(rows: Records) -> float | None:
    """Return how well confidence tells right answers from wrong ones; None if all are one or other.

    An abstention has no confidence at all: 0. Answers that the file itself gives state none and are
    left out. 0.5 is chance, 1 perfect.
    """
    sure = _sure(rows)
    if len(set(sure[:, 1])) < 2:
        return None
    return float(roc_auc_score(sure[:, 1], sure[:, 0]))


def _sure(rows: Records) -> NDArray[np.float64]:
    """Return confidence and whether the answer is right, (answers, 2)."""
    told = [
        (0.0 if row.abstained else row.confidence, float(row.value == 1))
        for row in rows
        if _asked(row) and row.status == "scored" and (row.abstained or row.confidence is not None)
    ]
    return np.array(told, dtype=float).reshape(-1, 2)


def auroc_change(now: Records, before: Records) -> tuple[float, float] | None:
    """Return the 95 % interval of the difference of two stages' AUROC, patients drawn again."""
    ours, theirs = _by_patient(now), _by_patient(before)
    patients = sorted(ours.keys() & theirs.keys())
    grouped = [{patient: _sure(rows[patient]) for patient in patients} for rows in (ours, theirs)]
    rng, drawn = np.random.default_rng(SEED), []
    for _ in range(RESAMPLES):
        chosen = rng.integers(0, len(patients), len(patients))
        both = [np.concatenate([rows[patients[i]] for i in chosen]) for rows in grouped]
        if all(len(set(part[:, 1])) == 2 for part in both):
            one, other = (roc_auc_score(part[:, 1], part[:, 0]) for part in both)
            drawn.append(one - other)
    if not drawn:
        return None
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def _by_patient(rows: Records) -> dict[str, list[Record]]:
    grouped: dict[str, list[Record]] = defaultdict(list)
    for row in rows:
        grouped[row.cluster].append(row)
    return grouped


def table(stages: Sequence[tuple[str, Records]]) -> Iterator[str]:
    """Yield the table's lines, in Markdown."""
    yield "| | " + " | ".join(name for name, _ in stages) + " |"
    yield "|---" * (len(stages) + 1) + "|"
    for column in COLUMNS:
        cells, size = [], 0
        for place, (_, rows) in enumerate(stages):
            before = stages[place - 1][1] if place else None
            cell, size = _cell(column, rows, before)
            cells.append(cell)
        yield f"| {column.name} (n = {size}) | " + " | ".join(cells) + " |"
    cells = []
    for place, (_, rows) in enumerate(stages):
        value = auroc(rows)
        cell = "-" if value is None else f"{value:.3f}"
        if place and value is not None and (ends := auroc_change(rows, stages[place - 1][1])):
            cell += f" ({ends[0]:+.3f} to {ends[1]:+.3f})"
        cells.append(cell)
    yield f"| {AUROC} | " + " | ".join(cells) + " |"


def _cell(column: Column, rows: Records, before: Records | None) -> tuple[str, int]:
    own = _having(column, rows)
    if not own:
        return "-", 0
    value = estimate(own, column.metric)
    scale, form = (100, "{:.1f} %") if column.share else (1, "{:.2f}")
    cell = form.format(scale * value.mean)
    if before is not None and (other := _having(column, before)):
        change = compare(_as(own, "now"), _as(other, "before"), column.metric)
        digits = "{:+.1f}" if column.share else "{:+.2f}"
        low, high = (digits.format(scale * end) for end in (change.low, change.high))
        cell += f" ({digits.format(scale * change.difference)}: {low} to {high})"
    return cell, len(own)


def _having(column: Column, rows: Records) -> list[Record]:
    """Return the records that have the column's score; a failed one is a share of 0."""

    def has(row: Record) -> bool:
        if row.status == "failed":
            return column.share
        return column.metric is None or column.metric in row.scores

    return [row for row in rows if column.pick(row) and has(row)]


def _as(rows: Records, subject: str) -> list[Record]:
    return [row.model_copy(update={"subject": subject}) for row in rows]


def _stage(text: str) -> tuple[str, Path]:
    if not (found := re.fullmatch(r"([^=]+)=(.+)", text)):
        raise InputError(f"'{text}' is no stage; write NAME=FOLDER")
    return found[1], Path(found[2])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="+", metavar="NAME=FOLDER")
    named = [_stage(text) for text in parser.parse_args().stages]
    lines = table([(name, records_of(folder)) for name, folder in named])
    Console(soft_wrap=True).print("\n".join(lines), markup=False, highlight=False)


if __name__ == "__main__":
    main()
