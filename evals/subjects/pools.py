"""Items whose answers the baselines may know, and what makes two questions the same."""

import hashlib
import json
from collections.abc import Iterator, Sequence

from overread.evals.items import Item

_TYPES = ("content_type", "question_type", "category", "qa_type")
"""Slices that name what a question asks about, in the benchmarks' own words."""

ENOUGH = 5
"""Items that are enough to vote."""


def question_types(item: Item) -> tuple[tuple[str, ...], ...]:
    """Return what items share whose answers are alike, the closest kinship first.

    The same wording and options; the same type in the benchmark's own words; the same kind. Nothing
    that only the image shows (modality, organ) has a part in it.
    """
    options = item.options if item.kind == "closed" else ()
    wording = " ".join(item.question.lower().split())
    types = [item.slices[name] for name in _TYPES if item.slices.get(name)]
    named = [("type", item.kind, types[0], *options)] if types else []
    return (("wording", item.kind, wording, *options), *named, ("kind", item.kind, *options))


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


def case_id(item: Item) -> str:
    """Return the id under which a ranking names an item: its study's, else its own."""
    return str(item.extra.get("study") or item.id)


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
        self._places: dict[tuple[str, ...], list[int]] = {}
        for place, item in enumerate(self.items):
            for shared in question_types(item):
                self._places.setdefault(shared, []).append(place)

    def digest(self) -> str:
        """Return a SHA-256 over ids, questions and answers."""
        told = [(item.id, item.question, item.answers) for item in self.items]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def candidates(self, item: Item) -> list[int]:
        """Return places of the closest kin, as soon as there are `ENOUGH`; else of the widest."""
        others: list[int] = []
        for shared in question_types(item):
            others = list(self._others(item, self._places.get(shared, []))) or others
            if len(others) >= ENOUGH:
                break
        return others

    def cases(self, item: Item) -> list[int]:
        """Return places of all items with an image that are of another study and patient."""
        return [place for place in self._others(item, range(len(self.items)))
                if self.items[place].images]  # fmt: skip

    def _others(self, item: Item, places: Sequence[int]) -> Iterator[int]:
        for place in places:
            other = self.items[place]
            same = other.id == item.id or case_id(other) == case_id(item)
            if not (same or (item.cluster and other.cluster == item.cluster)):
                yield place
