"""How evidence names the similar cases that were found: "case 1" and so on, study and source."""

import re
from collections.abc import Iterable, Mapping

from overread.tools.base import Value

_NAME = re.compile(r"case \d+")


def as_values(cases: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """Return values for evidence.

    Args:
        cases: Study id and source of each, the closest first.
    """
    return {f"case {n}": f"{study} ({source})" for n, (study, source) in enumerate(cases, 1)}


def studies(values: Mapping[str, Value]) -> dict[str, str]:
    """Return the study ids that evidence names, by the names of the cases, the closest first.

    >>> studies({"total": 1, **as_values([("ph-1", "phantom")])})
    {'case 1': 'ph-1'}
    """
    return {
        name: str(value).partition(" (")[0]
        for name, value in values.items()
        if _NAME.fullmatch(name)
    }
