"""From records to the items that a report shows: the worst answers and the failures."""

from typing import Any

from overread.evals.records import Record
from overread.evals.reports.cases import failures, reasons, worst
from overread.evals.reports.document import Case, Cases, Table
from overread.evals.reports.labels import Labelled
from overread.evals.reports.thumbnails import Thumbnails

WORST, FAILED = 8, 24
"""Items shown of each run; the records hold all of them."""

_MOST_PICTURES, _MOST_WORDS = 5, 700


def worst_cases(run: Labelled, thumbnails: Thumbnails) -> Cases | None:
    """Return the worst answers of a run, or None if none is wrong."""
    seed = run.run.spec.seed
    chosen = worst(run.records, WORST, seed)
    if not chosen:
        return None
    wrong = len(worst(run.records, len(run.records), seed))
    note = f"{len(chosen)} of {wrong} wrong answers"
    if any(row.confidence is not None and not row.abstained for row in chosen):
        note += ", the most confident first."
    else:
        note += f", drawn with seed {seed}: this subject states no confidence."
    return Cases(run.label, note, tuple(_case(row, thumbnails) for row in chosen))


def failed_cases(run: Labelled, thumbnails: Thumbnails) -> Cases | None:
    """Return why items of a run failed, and the first of them; None if none did."""
    failed = failures(run.records)
    if not failed:
        return None
    table = Table(
        f"Why items of {run.label} failed",
        ("reason", "items"),
        tuple((reason, str(count)) for reason, count in reasons(run.records)),
    )
    note = f"{len(failed)} of {len(run.records)} have no score; each counts as 0 in every table."
    shown = failed[:FAILED]
    summary = f"The first {len(shown)} of {len(failed)}" if failed[FAILED:] else "All of them"
    return Cases(run.label, note, tuple(_case(row, thumbnails) for row in shown), table, summary)


def _case(row: Record, thumbnails: Thumbnails) -> Case:
    facts = [row.item]
    if row.epoch > 1:
        facts.append(f"epoch {row.epoch}")
    if row.confidence is not None:
        facts.append(f"confidence {row.confidence:.2f}")
    if row.abstained:
        facts.append("abstained")
    if len(row.images) > _MOST_PICTURES:
        facts.append(f"the first {_MOST_PICTURES} of {len(row.images)} images")
    facts += [f"{name.replace('_', ' ')} {value}" for name, value in sorted(row.slices.items())]
    return Case(
        item=row.item,
        question=_cut(row.question),
        reference=_cut(" / ".join(row.reference)),
        answer=_cut(row.answer),
        score=_scores(row),
        failed=row.status == "failed",
        reason=_cut(row.reason),
        evidence=tuple(map(_evidence, row.evidence)),
        pictures=tuple(thumbnails.of(image) for image in row.images[:_MOST_PICTURES]),
        meta=" · ".join(facts),
    )


def _scores(row: Record) -> str:
    names = sorted(row.scores, key=lambda name: (name != row.main, name))
    return ", ".join(f"{name} {row.scores[name]:.3g}" for name in names)


def _evidence(entry: dict[str, Any]) -> tuple[str, str, str]:
    said = [str(entry.get(name, "")) for name in ("id", "tool", "content")]
    return said[0], said[1], _cut(said[2])


def _cut(text: str) -> str:
    """Shorten what would fill the page; says how much is missing."""
    more = len(text) - _MOST_WORDS
    return text if more <= 0 else f"{text[:_MOST_WORDS]}… ({more} more characters)"
