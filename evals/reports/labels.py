"""How runs and numbers are named in reports."""

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from overread.evals.records import Record
from overread.evals.runs import Run


@dataclass(frozen=True, slots=True)
class Labelled:
    """A run and its name in the report; unique within its benchmark."""

    label: str
    run: Run

    @property
    def benchmark(self) -> str:
        """Return the name of the benchmark."""
        return self.run.spec.benchmark

    @property
    def records(self) -> list[Record]:
        """Return the records of the run."""
        return self.run.records

    @property
    def failed(self) -> int:
        """Return how many items failed."""
        return sum(row.status == "failed" for row in self.records)


def labelled(runs: Sequence[Run]) -> list[Labelled]:
    """Name runs by subject; those of one benchmark and subject by the folder, too."""
    counts = Counter((run.spec.benchmark, run.spec.subject) for run in runs)
    named = []
    seen: Counter[tuple[str, str]] = Counter()
    for run in runs:
        label = run.spec.subject
        if counts[run.spec.benchmark, label] > 1:
            label = f"{label} ({run.folder.name})"
        seen[run.spec.benchmark, label] += 1
        again = seen[run.spec.benchmark, label]
        named.append(Labelled(f"{label} #{again}" if again > 1 else label, run))
    return named


def command_line(run: Run) -> str:
    """Return the command of a run as it can be typed again; "" if it is not known."""
    if not run.spec.command:
        return ""
    program, *rest = run.spec.command
    return shlex.join([Path(program).name, *rest])


def share(value: float) -> str:
    """Write a share for people.

    >>> share(0.5)
    '50.0 %'
    """
    return f"{100 * value:.1f} %"


def number(value: float, is_share: bool) -> str:
    """Write a mean: of shares in per cent, else plainly."""
    return share(value) if is_share else f"{value:.3g}"


def points(difference: float) -> str:
    r"""Write a difference of shares, in percentage points and with its sign.

    >>> points(0.123), points(-0.004).encode("ascii", "namereplace")
    ('+12.3', b'\\N{MINUS SIGN}0.4')
    """
    return _minus(f"{100 * difference:+.1f}")


def interval(low: float, high: float, is_share: bool = True) -> str:
    """Write the ends of an interval; a single cluster has none.

    >>> interval(0.441, 0.56)
    '44.1 to 56.0'
    """
    if math.isnan(low):
        return "one case"
    if is_share:
        return _minus(f"{100 * low:.1f} to {100 * high:.1f}")
    return _minus(f"{low:.3g} to {high:.3g}")


def p_value(p: float | None) -> str:
    """Write a p value.

    >>> p_value(0.00001), p_value(0.043), p_value(None)
    ('< 0.001', '0.043', '')
    """
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _minus(text: str) -> str:
    """Write negative numbers with the sign, not the hyphen."""
    return text.replace("-", "\N{MINUS SIGN}")
