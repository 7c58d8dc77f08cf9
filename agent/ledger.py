"""Evidence of a session: append-only, numbered in order of arrival."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from overread.tools.base import Evidence, ToolResult

READER = "reader"
"""In the place of the tool: a person drew or accepted this, no program decided it."""

GIVEN = ("intake", READER)
"""Evidence that no call of the planner's gave; it stands under the images in the prompt."""

CITATION = re.compile(r"\[(E[1-9][0-9]*)\]")
_GROUP = re.compile(r"\[\s*(E[1-9][0-9]*(?:\s*[,;]\s*E[1-9][0-9]*)+)\s*\]")


class Ledger:
    """Evidence with ids E1, E2, ...; nothing is ever changed or taken out."""

    def __init__(self, evidence: Iterable[Evidence] = ()) -> None:
        """Continue from earlier evidence.

        Raises:
            ValueError: The ids are not E1, E2, ... in order.
        """
        self._entries = list(evidence)
        ids = [entry.id for entry in self._entries]
        if ids != [f"E{number}" for number in range(1, len(ids) + 1)]:
            raise ValueError(f"evidence ids are not E1..E{len(ids)} in order: {ids}")

    def __iter__(self) -> Iterator[Evidence]:
        """Oldest first."""
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        """How many."""
        return len(self._entries)

    def append(
        self, tool: str, arguments: dict[str, Any], content: str, result: ToolResult
    ) -> Evidence:
        """Record a tool's result under the next id."""
        entry = Evidence(
            id=f"E{len(self._entries) + 1}",
            tool=tool,
            arguments=arguments,
            content=content,
            version=result.version,
            image=result.image,
            values=result.values,
            confidence=result.confidence,
            artifacts=result.artifacts,
        )
        self._entries.append(entry)
        return entry


def citations(text: str) -> tuple[str, ...]:
    """Return the ids cited, each once, in order of appearance.

    >>> citations("Yes [E2]. Left [E3, E2].")
    ('E2', 'E3')
    """
    return tuple(dict.fromkeys(CITATION.findall(spread_citations(text))))


def spread_citations(text: str) -> str:
    """Write grouped citations singly.

    >>> spread_citations("Left [E3, E2].")
    'Left [E3][E2].'
    """
    return _GROUP.sub(
        lambda found: "".join(f"[{part}]" for part in re.findall(r"E[0-9]+", found[1])), text
    )


def cited(text: str, evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Return the evidence that a text cites, in order of citation; unknown ids are left out."""
    by_id = {entry.id: entry for entry in evidence}
    return tuple(by_id[name] for name in citations(text) if name in by_id)


def weakest(text: str, evidence: Sequence[Evidence]) -> Evidence | None:
    """Return the least sure evidence that a text cites; None if none states a confidence."""
    stated = [entry for entry in cited(text, evidence) if entry.confidence is not None]
    return min(stated, key=lambda entry: entry.confidence or 0.0, default=None)
