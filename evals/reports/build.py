"""From runs to the contents of a report."""

from collections.abc import Sequence

from overread.evals.reports.confusion import Confusion, confusions
from overread.evals.reports.document import Document, RunCard, Section
from overread.evals.reports.drawing import plots
from overread.evals.reports.fairness import fairness_views
from overread.evals.reports.labels import Labelled, command_line
from overread.evals.reports.numbers import METHOD, Numbers
from overread.evals.reports.tables import main_table, metrics_table, pairs_table, slice_tables
from overread.evals.reports.thumbnails import Thumbnails
from overread.evals.reports.viewing import failed_cases, worst_cases
from overread.evals.runs import Run


def build(runs: Sequence[Labelled], numbers: Numbers) -> Document:
    """Return what a report on some runs says and shows.

    Args:
        runs: At least one.
        numbers: Computed from the same runs.
    """
    benchmarks = list(dict.fromkeys(run.benchmark for run in runs))
    subjects = list(dict.fromkeys(run.run.spec.subject for run in runs))
    failed = sum(run.failed for run in runs)
    total = sum(len(run.records) for run in runs)
    thumbnails = Thumbnails()
    return Document(
        title=f"Evaluation: {', '.join(benchmarks)}",
        lead=f"{', '.join(subjects)}. {_count(total, 'record')}, of which {failed} failed.",
        warnings=tuple(line for run in runs for line in _warnings(run)),
        main=main_table(numbers.rows),
        notes=numbers.notes,
        sections=tuple(
            _section(f"benchmark-{place}", name, runs, numbers, thumbnails)
            for place, name in enumerate(benchmarks, start=1)
        ),
        runs=tuple(map(_card, runs)),
        method=tuple(METHOD.split("\n")),
    )


def _section(
    anchor: str, benchmark: str, runs: Sequence[Labelled], numbers: Numbers, thumbnails: Thumbnails
) -> Section:
    own = [run for run in runs if run.benchmark == benchmark]
    gaps = [row for row in numbers.gaps if row.benchmark == benchmark]
    attributes = {row.gaps.attribute for row in gaps}
    rows = [
        row for row in numbers.rows if row.benchmark == benchmark and row.slice not in attributes
    ]
    worst = [worst_cases(run, thumbnails) for run in own]
    failures = [failed_cases(run, thumbnails) for run in own]
    return Section(
        id=anchor,
        title=benchmark,
        pairs=pairs_table([pair for pair in numbers.pairs if pair.benchmark == benchmark]),
        plots=tuple(plots([row for row in rows if not row.metric], own, anchor)),
        fairness=tuple(fairness_views(gaps, anchor)),
        slices=tuple(slice_tables(rows)),
        metrics=metrics_table(rows),
        confusions=tuple(pair for run in own for pair in _confusions(run)),
        worst=tuple(cases for cases in worst if cases is not None),
        failures=tuple(cases for cases in failures if cases is not None),
    )


def _confusions(run: Labelled) -> list[tuple[str, Confusion]]:
    return [(run.label, matrix) for matrix in confusions(run.records)]


def _warnings(run: Labelled) -> list[str]:
    spec, lines = run.run.spec, []
    where = f"{run.label} on {run.benchmark}"
    if spec.contaminated:
        lines.append(
            f"Contaminated: {_count(spec.contaminated, 'item')} of {spec.items} are in the "
            f"training manifest of {where}."
        )
    missing = spec.items * spec.epochs - len(run.records)
    if missing:
        lines.append(
            f"Unfinished: {where} has no record yet of {missing} of {spec.items * spec.epochs} "
            "answers; they are in no table. Go on with --resume."
        )
    return lines


def _card(run: Labelled) -> RunCard:
    spec = run.run.spec
    abstained = sum(row.abstained for row in run.records)
    facts = {
        "benchmark": spec.benchmark,
        "split": spec.split or "all",
        "seed": str(spec.seed),
        "items": str(spec.items) + (f", {spec.epochs} times" if spec.epochs > 1 else ""),
        "recorded": f"{len(run.records)}, of which {run.failed} failed, {abstained} abstained",
        "contamination": contamination(run.run),
    }
    details = {
        "commit": spec.commit or "unknown",
        **{f"version of {name}": value for name, value in sorted(spec.versions.items())},
        **{name: str(value) for name, value in sorted(spec.identity.items())},
    }
    return RunCard(run.label, tuple(facts.items()), command_line(run.run), tuple(details.items()))


def contamination(run: Run) -> str:
    """Say whether items of a run were in the training data of its subject."""
    if run.spec.contaminated:
        return f"{run.spec.contaminated} of {run.spec.items} items were in the training data"
    if run.spec.manifests:
        where = _count(len(run.spec.manifests), "training manifest")
        return f"checked, 0 of {run.spec.items} items are in {where}"
    return "not checked: no training manifest of this subject"


def _count(number: int, word: str) -> str:
    """Write a number with its word.

    >>> _count(1, "item"), _count(2, "item")
    ('1 item', '2 items')
    """
    return f"{number} {word}{'' if number == 1 else 's'}"
