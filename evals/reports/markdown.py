"""A report as Markdown: the tables, and the worst items in words."""

import re
from collections.abc import Iterator

from overread.evals.reports.confusion import Confusion
from overread.evals.reports.document import (
    FAIRNESS,
    FAIRNESS_NOTE,
    Case,
    Cases,
    Document,
    RunCard,
    Section,
    Table,
)

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#!|~<>$])")
_AUTOLINK = re.compile(r"(?<=[A-Za-z])://")


def markdown(document: Document) -> str:
    """Return a report as Markdown (GitHub's), with everything from data escaped."""
    return "\n".join(_lines(document)) + "\n"


def plain(text: str) -> str:
    r"""Return text that Markdown shows as it is: no markup, no link, no line break.

    >>> plain("<b>a|b</b>")
    '\\<b\\>a\\|b\\</b\\>'
    """
    return _AUTOLINK.sub(":\\//", _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def _lines(document: Document) -> Iterator[str]:
    yield f"# {plain(document.title)}"
    yield f"\n**{document.research}**\n"
    yield plain(document.lead)
    for warning in document.warnings:
        yield f"\n> {plain(warning)}"
    yield "\n## Results\n"
    yield from _table(document.main)
    for note in document.notes:
        yield f"\n{plain(note)}"
    for section in document.sections:
        yield from _section(section)
    yield "\n## What was run"
    for card in document.runs:
        yield from _card(card)
    yield "\n## How the numbers are made"
    for line in document.method:
        yield f"\n{plain(line)}"


def _section(section: Section) -> Iterator[str]:
    yield f"\n## {plain(section.title)}"
    for table in (section.pairs, *section.slices, section.metrics):
        if table.rows:
            yield f"\n### {plain(table.caption)}\n"
            yield from _table(table)
    if section.fairness:
        yield f"\n### {FAIRNESS}\n\n{FAIRNESS_NOTE}"
    for view in section.fairness:
        yield f"\n#### {plain(view.table.caption)}\n"
        yield from _table(view.table)
        yield from (f"\n{plain(note)}" for note in view.notes)
    for label, matrix in section.confusions:
        yield f"\n### Confusion: {plain(label)}, {plain(matrix.family)}\n"
        yield from _table(_confusion(matrix))
    for cases in section.worst:
        yield f"\n### Worst answers: {plain(cases.label)}\n\n{plain(cases.note)}\n"
        yield from map(_case, cases.cases)
    for cases in section.failures:
        yield from _failures(cases)


def _failures(cases: Cases) -> Iterator[str]:
    yield f"\n### Failed items: {plain(cases.label)}\n\n{plain(cases.note)}\n"
    if cases.reasons is not None:
        yield from _table(cases.reasons)
    yield ""
    yield from (f"- {plain(case.item)}: {plain(case.reason)}" for case in cases.cases)


def _case(case: Case) -> str:
    said = "; ".join(f"{name} {tool}: {content}" for name, tool, content in case.evidence)
    lines = [
        f"- **{plain(case.question)}** ({plain(case.meta)})",
        f"  - right: {plain(case.reference)}",
        f"  - answer: {plain(case.answer)}",
        f"  - evidence: {plain(said) or 'none'}",
    ]
    return "\n".join(lines)


def _card(card: RunCard) -> Iterator[str]:
    yield f"\n### {plain(card.label)}\n"
    for name, value in card.facts:
        yield f"- {plain(name)}: {plain(value)}"
    if card.command:
        yield f"\n    {card.command.replace(chr(10), ' ')}"


def _confusion(matrix: Confusion) -> Table:
    rows = zip(matrix.labels, matrix.counts, strict=True)
    cells = tuple((label, *map(str, counts)) for label, counts in rows)
    return Table("", ("right \\ given", *matrix.given), cells)


def _table(table: Table) -> Iterator[str]:
    yield _row(table.header)
    rules = ["---" if place < table.words else "---:" for place in range(len(table.header))]
    yield f"| {' | '.join(rules)} |"
    yield from map(_row, table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(plain, cells))} |"
