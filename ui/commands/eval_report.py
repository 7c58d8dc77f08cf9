"""`overread eval report` and `overread eval compare`: read what runs have found."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from overread.ui.options import Json
from overread.ui.terminal import out

if TYPE_CHECKING:
    from overread.evals.reports.compare import RunComparison
    from overread.evals.statistics.comparison import Comparison

SHOWN_FLIPS = 10
_MOST_WORDS = 60

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)]


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of runs, or folders that hold such.", show_default=False),
    ],
    out_dir: Annotated[
        Path, typer.Option("--out", help="Folder for report.html, report.md and report.csv.")
    ] = Path("report"),
    as_json: Json = False,
) -> None:
    """Write a report of one or more runs: a page for the browser, Markdown and CSV.

    For example:

        overread eval report runs/phantoms --out report
    """
    from overread.evals.reports.write import write_report
    from overread.evals.runs import find_runs, read_run

    folders = dict.fromkeys(found for given in runs for found in find_runs(given))
    written = write_report([read_run(folder) for folder in folders], out_dir)
    files = {"html": written.html, "markdown": written.markdown, "csv": written.csv}
    if as_json:
        typer.echo(json.dumps({name: str(path) for name, path in files.items()}))
        return
    for path in files.values():
        out.print(str(path), soft_wrap=True, markup=False)


def compare(a: RunFolder, b: RunFolder, as_json: Json = False) -> None:
    """Compare two runs of one benchmark on the items that both have.

    For example:

        overread eval compare runs/phantoms/agent runs/phantoms/bare
    """
    from overread.evals.reports.compare import compare as compare_runs
    from overread.evals.runs import read_run

    found = compare_runs(read_run(a), read_run(b))
    if as_json:
        typer.echo(json.dumps(_finite(found.as_dict())))
        return
    out.print(f"[bold]{escape(found.benchmark)}[/]: A = {escape(found.a)}, B = {escape(found.b)}")
    total = found.total
    out.print(
        f"{total.n} items in both, {total.only_first} only in A, {total.only_second} only in B; "
        f"failed: {found.score_a.failed} in A, {found.score_b.failed} in B"
    )
    out.print(_scores(found))
    for name, levels in found.slices.items():
        out.print(_slice(name, levels))
    out.print(total.note, soft_wrap=True, markup=False)
    _print_flips(found)


def _scores(found: "RunComparison") -> Table:
    from overread.evals.reports.labels import interval, p_value, points, share

    table = _empty_table("", "score", "95 % interval", "p", "McNemar p")
    for name, score in (("A", found.score_a), ("B", found.score_b)):
        table.add_row(name, share(score.mean), interval(score.low, score.high), "", "")
    total = found.total
    ends = interval(total.low, total.high)
    tests = (p_value(total.p), p_value(total.p_mcnemar))
    table.add_row("A minus B", points(total.difference), ends, *tests)
    return table


def _slice(name: str, levels: "dict[str, Comparison]") -> Table:
    from overread.evals.reports.labels import interval, p_value, points

    table = _empty_table(name.replace("_", " "), "n", "A minus B", "95 % interval", "p (Holm)")
    for level, one in levels.items():
        ends = interval(one.low, one.high)
        table.add_row(escape(level), str(one.n), points(one.difference), ends, p_value(one.p))
    return table


def _print_flips(found: "RunComparison") -> None:
    for name, other in (("A", "B"), ("B", "A")):
        flips = [flip for flip in found.flips if flip.right_in == name]
        shown = f", the first {SHOWN_FLIPS}" if len(flips) > SHOWN_FLIPS else ""
        out.print(f"[bold]right in {name}, wrong in {other}: {len(flips)}[/]{shown}")
        for flip in flips[:SHOWN_FLIPS]:
            wrong = flip.answer_b if name == "A" else flip.answer_a
            out.print(
                f"  {_cut(flip.item)}: {_cut(flip.question)} {_cut(flip.reference)}; "
                f"{other} says: {_cut(wrong)}",
                markup=False,
            )


def _empty_table(first: str, *headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _cut(text: str) -> str:
    """Put a text on one short line; a terminal would obey control characters."""
    words = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 1]}…"


def _finite(value: Any) -> Any:
    """Return the same with null for what is not a number: JSON knows none."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
