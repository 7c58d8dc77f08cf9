"""Items whose answers the baselines may know, and what makes two questions the same."""

import hashlib
import json
from collections.abc import Iterator, Sequence

from overread.evals.items import Item

_TYPES = ("content_type", "question_type", "category", "qa_type")
"""Slices that name what a question asks about, in the benchmarks' own words."""


def question_type(item: Item) -> tuple[str, ...]:
    """Return what two items share when the answer to one may answer the other.

    The benchmark's own type and the options where it has them, else the wording.
    """
    for name in _TYPES:
        if item.slices.get(name):
            options = item.options if item.kind == "closed" else ()
            return (item.kind, item.slices[name], item.slices.get("domain", ""), *options)
    return (item.kind, " ".join(item.question.lower().split()))


def answer_text(item: Item) -> str:
    """Return the reference in words: of a choice, the option's text and not its letter."""
    if item.kind == "choice" and item.answers[0] in item.letters:
        return item.options[item.letters.index(item.answers[0])]
    return item.answers[0]


def say(item: Item, text: str) -> str | None:
    """Return an answer in the form that an item wants; None if it is not among its options.

    Args:
        item: To be answered.
        text: As of `answer_text`.
    """
    if item.kind != "choice":
        return text
    lower = [option.lower() for option in item.options]
    return item.letters[lower.index(text.lower())] if text.lower() in lower else None


class Pool:
    """Items with known answers. An item is never answered by itself, nor by its own patient.

    Attributes:
        name: "train" for a split of its own, else "leave-one-out".
        items: In a fixed order.
    """

    def __init__(self, items: Sequence[Item], name: str) -> None:
        """Keep items of one kind of answer in words."""
        self.name = name
        self.items = [item for item in items if item.answers and item.answers[0]]
        self._by_type: dict[tuple[str, ...], list[int]] = {}
        self._by_kind: dict[str, list[int]] = {}
        for place, item in enumerate(self.items):
            self._by_type.setdefault(question_type(item), []).append(place)
            self._by_kind.setdefault(item.kind, []).append(place)

    def digest(self) -> str:
        """Return a SHA-256 over ids, questions and answers."""
        told = [(item.id, item.question, item.answers) for item in self.items]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def candidates(self, item: Item) -> list[int]:
        """Return places of items of the same question type, or of the same kind if none is."""
        for places in (
            self._by_type.get(question_type(item), []),
            self._by_kind.get(item.kind, []),
        ):
            if others := list(self._others(item, places)):
                return others
        return []

    def _others(self, item: Item, places: Sequence[int]) -> Iterator[int]:
        for place in places:
            other = self.items[place]
            same = other.id == item.id or (item.cluster and other.cluster == item.cluster)
            if not same:
                yield place
