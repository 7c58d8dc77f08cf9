"""What is evaluated: anything that replies to an item."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from overread.evals.items import Item

if TYPE_CHECKING:
    from overread.evals.metrics.grounding import Box


@dataclass(frozen=True, slots=True)
class Reply:
    """What a subject said to one item.

    Attributes:
        text: The answer in words.
        confidence: 0..1; None when the subject gives none.
        abstained: Whether it said that it cannot tell.
        evidence: What the answer cites, as in `Record.evidence`.
        removed: How many sentences its own verifier took away.
        files: Paths by name that a scorer needs, e.g. {"mask": ...}.
        boxes: What the answer points at, in pixels of the item's image; None where only its words
            may tell.
        ranking: Ids of cases, the most similar first; None from a subject that cannot rank.
        detail: What a reader may want beside the answer; JSON-able.
    """

    text: str
    confidence: float | None = None
    abstained: bool = False
    evidence: tuple[dict[str, Any], ...] = ()
    removed: int = 0
    files: Mapping[str, Path] = field(default_factory=dict)
    boxes: tuple["Box", ...] | None = None
    ranking: tuple[str, ...] | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class Subject(Protocol):
    """Something that can be asked.

    Attributes:
        name: In tables, e.g. "agent".
        identity: All that decides its answers: model, weights' hash, prompt, settings. JSON-able;
            part of the key under which replies are kept.
    """

    name: str
    identity: Mapping[str, Any]

    async def answer(self, item: Item, prompt: str, seed: int) -> Reply:
        """Reply to an item.

        Args:
            item: With its images.
            prompt: The item's question as the benchmark words it, options included.
            seed: Of anything random.

        Raises:
            PlannerUnavailable: The server does not answer now; asking again later may work.
            OverreadError: This item cannot be answered; it is recorded as failed.
        """

    async def close(self) -> None:
        """Let go of servers and files."""
