"""Confusion matrices of closed questions: the right option against the option given."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from overread.evals.metrics.closed import choice_letter, closed_option
from overread.evals.records import Record

MOST_LABELS = 12
OTHER, ABSTAINED, FAILED = "other answer", "abstained", "failed"
CLOSED = ("closed", "choice")
_CONTENT = ("content_type", "category", "question_type")
_YES_NO = {"yes", "no"}


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each option was given for each right option.

    Attributes:
        family: What the questions have in common, e.g. "yes or no", "letters", "side".
        labels: The right options, by name; the rows.
        given: The options, then what else happened; the columns.
        counts: Shape (labels, given).
    """

    family: str
    labels: tuple[str, ...]
    given: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def n(self) -> int:
        """Return the number of answers counted."""
        return sum(map(sum, self.counts))


def confusions(records: Sequence[Record]) -> list[Confusion]:
    """Return a matrix for each family of closed questions, the largest first.

    Families keep apart what cannot be confused: yes or no, letters, and words by kind of content.
    A family with a single right option, or with more than `MOST_LABELS`, has no matrix.
    """
    families: dict[str, list[Record]] = defaultdict(list)
    for row in records:
        if is_closed(row):
            families[_family(row)].append(row)
    made = [_matrix(name, rows) for name, rows in families.items()]
    kept = [item for item in made if 1 < len(item.labels) <= MOST_LABELS]
    return sorted(kept, key=lambda item: (-item.n, item.family))


def is_closed(row: Record) -> bool:
    """Whether the question had a fixed set of answers."""
    closed = bool(row.options) or row.slices.get("answer_type", "").lower() in CLOSED
    return bool(row.reference) and (closed or _right(row) in _YES_NO)


def _right(row: Record) -> str:
    return _name(row.reference[0])


def _name(option: str) -> str:
    text = option.strip()
    return text if text.isupper() else text.lower()  # letters and acronyms keep their case


def _family(row: Record) -> str:
    right = _right(row)
    if right in _YES_NO:
        return "yes or no"
    if len(right) == 1 and right.isupper():
        return "letters"
    return next((row.slices[name] for name in _CONTENT if name in row.slices), "words")


def _matrix(family: str, rows: Sequence[Record]) -> Confusion:
    labels = tuple(sorted({_right(row) for row in rows}))
    counts = Counter((_right(row), _given(row, labels)) for row in rows)
    used = [extra for extra in (OTHER, ABSTAINED, FAILED) if any(g == extra for _, g in counts)]
    given = (*labels, *used)
    table = tuple(tuple(counts[label, column] for column in given) for label in labels)
    return Confusion(family, labels, given, table)


def _given(row: Record, labels: tuple[str, ...]) -> str:
    """Return the option that was given; what the scorer marked right is right here too."""
    if row.status == "failed":
        return FAILED
    if row.value == 1.0:
        return _right(row)
    if row.abstained:
        return ABSTAINED
    found = _name(row.parsed) if row.parsed is not None else _read_again(row, labels)
    return OTHER if found not in labels or found == _right(row) else found


def _read_again(row: Record, labels: tuple[str, ...]) -> str | None:
    """Return the option that an answer gives whose record does not say how it was read."""
    if row.scores.get("unparsed"):
        return None
    if _family(row) == "letters":
        # The options' own words are not in such a record; these stand for them.
        options = [f"option {chr(code)}" for code in range(ord("A"), ord(max(labels)) + 1)]
        return choice_letter(row.answer, options)
    return closed_option(row.answer, labels, row.question)
