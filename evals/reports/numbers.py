"""All numbers of a report, computed once: HTML, Markdown and CSV show the same ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from overread.evals.records import Record
from overread.evals.reports.labels import Labelled
from overread.evals.statistics.comparison import Comparison, compare, holm
from overread.evals.statistics.estimates import Estimate, by_slice, estimate
from overread.evals.statistics.fairness import Gaps, fairness
from overread.evals.statistics.power import FEW_CLUSTERS
from overread.imaging.errors import InputError

LESS_IS_BETTER = ("hd95", "hallucination")
"""Beginnings of metrics' names: a failure must not count as 0, which would be perfect."""

METHOD = (
    "n is the number of items; several epochs of an item are averaged first. Failed items (no usable "
    "reply, unreadable image, ...) stay in every denominator and count as 0.\n"
    "Intervals: 95 %, bias-corrected and accelerated bootstrap that draws whole clusters (patient, "
    "else study, else image), 2,000 resamples, fixed seed. Where every item scored the same 0 or "
    "1, the exact interval of Clopper and Pearson.\n"
    "Comparisons: only items that both subjects were asked; paired bootstrap of clusters for the "
    "difference; p by random sign flips of clusters' differences, corrected by Holm for the number "
    "of comparisons on a benchmark; McNemar's test, uncorrected, where every item is right or "
    "wrong (it takes items as independent).\n"
    "Fairness: groups of patients and of devices, each beside the best of its attribute; groups of "
    f"fewer than {FEW_CLUSTERS} cases (patients, else studies, else images) are shown and not "
    "ranked. Gaps: bootstrap of clusters, 10,000 resamples, all groups drawn together; corrected by "
    "Bonferroni for the number of pairs of groups of the attribute, since the best was picked "
    "from the data, and not for the number of attributes. A gap is no cause: groups may differ in "
    "what was asked of them."
)
"""Paragraphs under the tables."""


@dataclass(frozen=True, slots=True)
class Row:
    """One mean with its interval.

    Attributes:
        benchmark, subject: Of the run.
        slice, level: How the items were cut, e.g. "modality" and "CT"; "" for all items.
        metric: Name of the score; "" for the one that decides.
        marked_by: Which scores decide, by name.
        is_share: Whether it lies in 0..1 and is shown in per cent.
        estimate: The numbers.
    """

    benchmark: str
    subject: str
    slice: str
    level: str
    metric: str
    marked_by: str
    is_share: bool
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two subjects on the items that both were asked: the first minus the second.

    `comparison.p` is corrected by Holm for the number of pairs on the benchmark.
    """

    benchmark: str
    first: str
    second: str
    mean_first: float
    mean_second: float
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class GapsRow:
    """The groups of one attribute under one subject."""

    benchmark: str
    subject: str
    is_share: bool
    gaps: Gaps


@dataclass(frozen=True, slots=True)
class Numbers:
    """What all formats of a report show. `notes` say what so many items could show."""

    rows: tuple[Row, ...]
    pairs: tuple[PairRow, ...]
    gaps: tuple[GapsRow, ...]
    notes: tuple[str, ...]


def numbers_of(runs: Sequence[Labelled]) -> Numbers:
    """Compute the numbers of a report."""
    rows = tuple(row for run in runs for row in _rows(run))
    pairs = [
        pair for one, other in combinations(runs, 2) if (pair := _pair(one, other)) is not None
    ]
    overall = [row for row in rows if not row.slice and not row.metric]
    notes = tuple(f"{row.subject} on {row.benchmark}: {row.estimate.note}" for row in overall)
    gaps = tuple(row for run in runs for row in _gaps(run))
    return Numbers(rows, tuple(_corrected(pairs)), gaps, notes)


def shared_records(
    first: Sequence[Record], second: Sequence[Record]
) -> tuple[list[Record], list[Record]]:
    """Return the records of items that are in both."""
    both = {row.item for row in first} & {row.item for row in second}
    return [row for row in first if row.item in both], [row for row in second if row.item in both]


def _rows(run: Labelled) -> Iterator[Row]:
    records = run.records
    mains = sorted({row.main for row in records if row.main})
    marked_by = ", ".join(mains) or "nothing: all items failed"
    share = _is_share(records)

    def row(name: str, level: str, value: Estimate) -> Row:
        return Row(run.benchmark, run.label, name, level, "", marked_by, share, value)

    yield row("", "", estimate(records))
    for name in sorted({name for record in records for name in record.slices}):
        for level, value in by_slice(records, name).items():
            yield row(name, level, value)
    for metric in sorted({name for record in records for name in record.scores}):
        told = records
        if metric.startswith(LESS_IS_BETTER):
            told = [record for record in records if record.status == "scored"]
        values = [record.scores[metric] for record in told if metric in record.scores]
        is_share = all(0 <= value <= 1 for value in values)
        value = estimate(told, metric)
        yield Row(run.benchmark, run.label, "", "", metric, metric, is_share, value)


def _gaps(run: Labelled) -> Iterator[GapsRow]:
    for gaps in fairness(run.records):
        yield GapsRow(run.benchmark, run.label, _is_share(run.records), gaps)


def _is_share(records: Sequence[Record]) -> bool:
    return all(0 <= row.value <= 1 for row in records)


def _pair(first: Labelled, second: Labelled) -> PairRow | None:
    if first.benchmark != second.benchmark:
        return None
    ours, theirs = shared_records(first.records, second.records)
    try:
        found = compare(first.records, second.records)
    except InputError:  # no item in common: nothing to compare, and no table says otherwise
        return None
    means = estimate(ours).mean, estimate(theirs).mean
    return PairRow(first.benchmark, first.label, second.label, *means, found)


def _corrected(pairs: Sequence[PairRow]) -> Iterator[PairRow]:
    for benchmark in dict.fromkeys(pair.benchmark for pair in pairs):
        own = [pair for pair in pairs if pair.benchmark == benchmark]
        corrected = holm([pair.comparison.p for pair in own])
        for pair, p in zip(own, corrected, strict=True):
            yield replace(pair, comparison=replace(pair.comparison, p=p))
