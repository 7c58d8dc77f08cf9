"""What a report contains, as words and pictures, whatever format it is written in."""

from dataclasses import dataclass

from markupsafe import Markup

from overread.evals.reports.confusion import Confusion
from overread.evals.reports.thumbnails import Thumbnail

RESEARCH = "Research prototype, not a medical device."
FAIRNESS = "Fairness: are some groups served worse?"
FAIRNESS_NOTE = (
    "A gap whose interval holds 0 may be chance. Could show: a true difference of the group to all "
    "other items below this would be missed more often than one time in five."
)


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are shown.

    Attributes:
        caption: What the table shows.
        header: Names of the columns.
        rows: Of as many cells as the header.
        words: So many columns from the left are words; the others are numbers.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1

    @property
    def spans(self) -> tuple[int, ...]:
        """Return over how many rows each first cell reaches; 0 where one above reaches here."""
        firsts = [row[0] for row in self.rows]
        starts = [place for place, name in enumerate(firsts) if firsts[place - 1 : place] != [name]]
        ends = [*starts[1:], len(firsts)]
        reach = {start: end - start for start, end in zip(starts, ends, strict=True)}
        return tuple(reach.get(place, 0) for place in range(len(firsts)))


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing with its title and what to read from it."""

    title: str
    svg: Markup
    caption: str


@dataclass(frozen=True, slots=True)
class Case:
    """One item to look at."""

    item: str
    question: str
    reference: str
    answer: str
    score: str
    failed: bool
    reason: str
    evidence: tuple[tuple[str, str, str], ...]
    pictures: tuple[Thumbnail, ...]
    meta: str


@dataclass(frozen=True, slots=True)
class Cases:
    """Items of one run to look at, and how they were chosen."""

    label: str
    note: str
    cases: tuple[Case, ...]
    reasons: Table | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class RunCard:
    """What was run: facts by name, the command, and what else decides the numbers."""

    label: str
    facts: tuple[tuple[str, str], ...]
    command: str
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Fairness:
    """The groups of one attribute beside each other, and what cannot be told of them."""

    attribute: str
    table: Table
    plot: Plot | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark. `id` is its anchor in the page; groups in `fairness` are not in `slices`."""

    id: str
    title: str
    pairs: Table
    plots: tuple[Plot, ...]
    fairness: tuple[Fairness, ...]
    slices: tuple[Table, ...]
    metrics: Table
    confusions: tuple[tuple[str, Confusion], ...]
    worst: tuple[Cases, ...]
    failures: tuple[Cases, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    lead: str
    warnings: tuple[str, ...]
    main: Table
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    runs: tuple[RunCard, ...]
    method: tuple[str, ...]
    research: str = RESEARCH
