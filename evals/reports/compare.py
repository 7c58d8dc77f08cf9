"""Two runs on the same items, told in full: totals, slices, and the items that flipped."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from overread.evals.records import Record
from overread.evals.reports.cases import WRONG_BELOW
from overread.evals.reports.labels import labelled
from overread.evals.reports.numbers import shared_records
from overread.evals.runs import Run
from overread.evals.statistics.comparison import Comparison, compare_by_slice
from overread.evals.statistics.comparison import compare as compare_records
from overread.evals.statistics.estimates import Estimate, estimate
from overread.imaging.errors import InputError


@dataclass(frozen=True, slots=True)
class Flip:
    """An item that one run has right and the other wrong.

    Attributes:
        item, epoch: Which.
        question, reference: Of the item.
        answer_a, answer_b: What the runs say; the reason where an item failed.
        right_in: "A" or "B".
    """

    item: str
    epoch: int
    question: str
    reference: str
    answer_a: str
    answer_b: str
    right_in: str


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Run A beside run B.

    Attributes:
        benchmark: Of both.
        a, b: Names of the runs.
        score_a, score_b: On the items that both have.
        total: A minus B on them.
        slices: By name of the slice and its value; `p` is corrected by Holm within a slice.
        flips: Right in one, wrong in the other, by item.
    """

    benchmark: str
    a: str
    b: str
    score_a: Estimate
    score_b: Estimate
    total: Comparison
    slices: dict[str, dict[str, Comparison]]
    flips: tuple[Flip, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return asdict(self)


def compare(a: Run, b: Run) -> RunComparison:
    """Compare two runs of one benchmark on the items that both have.

    Raises:
        InputError: They are of different benchmarks, share no item, or an item has another
            reference in each.
    """
    if a.spec.benchmark != b.spec.benchmark:
        raise InputError(
            f"{a.folder} is a run of {a.spec.benchmark}, {b.folder} one of {b.spec.benchmark}; "
            "compare two runs of the same benchmark"
        )
    ours, theirs = shared_records(a.records, b.records)
    if not ours:
        raise InputError(
            f"{a.folder} and {b.folder} share no item of {a.spec.benchmark}; run both with the "
            "same split, limit and seed"
        )
    _check_references(ours, theirs, a, b)
    first, second = (named.label for named in labelled([a, b]))
    names = sorted({name for row in ours for name in row.slices})
    return RunComparison(
        benchmark=a.spec.benchmark,
        a=first,
        b=second,
        score_a=estimate(ours),
        score_b=estimate(theirs),
        total=compare_records(a.records, b.records),
        slices={name: compare_by_slice(ours, theirs, name) for name in names},
        flips=tuple(_flips(ours, theirs)),
    )


def _check_references(ours: Sequence[Record], theirs: Sequence[Record], a: Run, b: Run) -> None:
    known = {row.item: row.reference for row in ours}
    for row in theirs:
        if known[row.item] != row.reference:
            raise InputError(
                f"item {row.item} has another reference in {a.folder} than in {b.folder}: the "
                "benchmark has changed between the runs; run one of them again"
            )


def _flips(ours: Sequence[Record], theirs: Sequence[Record]) -> list[Flip]:
    others = {(row.item, row.epoch): row for row in theirs}
    pairs = [
        (row, other) for row in ours if (other := others.get((row.item, row.epoch))) is not None
    ]
    return [
        Flip(
            item=one.item,
            epoch=one.epoch,
            question=one.question,
            reference=" / ".join(one.reference),
            answer_a=_said(one),
            answer_b=_said(other),
            right_in="A" if one.value > other.value else "B",
        )
        for one, other in sorted(pairs, key=lambda pair: (pair[0].item, pair[0].epoch))
        if (one.value < WRONG_BELOW) != (other.value < WRONG_BELOW)
    ]


def _said(row: Record) -> str:
    return f"failed: {row.reason}" if row.status == "failed" else row.answer
