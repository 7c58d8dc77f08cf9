"""Writes a report: one HTML page that needs nothing else, a Markdown file, and a CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from overread.evals.reports.build import build
from overread.evals.reports.document import FAIRNESS, FAIRNESS_NOTE, Document
from overread.evals.reports.labels import labelled
from overread.evals.reports.markdown import markdown
from overread.evals.reports.numbers import Numbers, numbers_of
from overread.evals.runs import Run
from overread.evals.statistics.fairness import Gaps
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import ORDINARY, write_whole

_HERE = Path(__file__).parent
_COLUMNS = (
    "benchmark", "subject", "slice", "level", "metric", "n", "failed", "mean", "low", "high",
    "cases", "ranked", "behind", "behind_low", "behind_high",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a report."""

    html: Path
    markdown: Path
    csv: Path


def write_report(runs: Sequence[Run], out: Path) -> Written:
    """Write `report.html`, `report.md` and `report.csv`; the same runs give the same bytes.

    Args:
        runs: At least one; of any benchmarks and subjects.
        out: Folder; made if needed.

    Raises:
        InputError: No run is given, or one has no record yet.
        ConfigError: The folder cannot be written.
    """
    if not runs:
        raise InputError("no run was given; name at least one run folder")
    for run in runs:
        if not run.records:
            raise InputError(f"{run.folder} has no record yet; go on with the run first (--resume)")
    named = labelled(runs)
    numbers = numbers_of(named)
    document = build(named, numbers)
    written = Written(out / "report.html", out / "report.md", out / "report.csv")
    texts = {
        written.html: page(document),
        written.markdown: markdown(document),
        written.csv: table(numbers),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_whole(path, text, mode=ORDINARY)
    except OSError as error:
        raise ConfigError(
            f"the report cannot be written to {out} ({error.strerror}); choose another --out"
        ) from error
    return written


def page(document: Document) -> str:
    """Return the HTML page: no script, no request, everything from data escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    loader = FileSystemLoader(_HERE)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    css = Markup((_HERE / "report.css").read_text("utf-8").strip())
    template = environment.get_template("report.html.jinja")
    words = {"fairness": FAIRNESS, "fairness_note": FAIRNESS_NOTE}
    return template.render(page=document, css=css, **words) + "\n"


def table(numbers: Numbers) -> str:
    """Return all numbers as CSV, a row each; a cell that a spreadsheet would run is quoted.

    The last columns speak of fairness, and only in rows of its groups: whether the group is
    ranked, and how far it lies behind the best (the best itself: 0, without an interval).

    Source: OWASP, CSV injection.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    gaps = {(row.benchmark, row.subject, row.gaps.attribute): row.gaps for row in numbers.gaps}
    for row in numbers.rows:
        words = (row.benchmark, row.subject, row.slice, row.level, row.metric or "score")
        found = row.estimate
        cells = (found.n, found.failed, found.mean, found.low, found.high, found.clusters)
        group = gaps.get((row.benchmark, row.subject, row.slice))
        writer.writerow((*map(_harmless, words), *cells, *_fairness(group, row.level)))
    return buffer.getvalue()


def _fairness(gaps: Gaps | None, group: str) -> tuple[str | float, ...]:
    if gaps is None:
        return "", "", "", ""
    if behind := gaps.behind.get(group):
        return "yes", behind.gap, behind.low, behind.high
    return "yes" if group in gaps.groups else "no", 0.0 if group == gaps.best else "", "", ""


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
