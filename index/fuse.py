"""Joining ranked lists, and spreading one out. Pure; knows no index."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from overread.index.embedder import Vectors

Key = TypeVar("Key", bound=Hashable)

RANK_CONSTANT = 60
"""Of reciprocal rank fusion, as in its paper."""

DIVERSITY = 0.5
"""Weight of being unlike what was picked, against being like the query."""


def places(scores: Sequence[float]) -> list[int]:
    """Return the place of each score, from 1; equal ones share the best.

    Args:
        scores: In descending order.

    >>> places([0.9, 0.5, 0.5, 0.1])
    [1, 2, 2, 4]
    """
    found: list[int] = []
    for i, score in enumerate(scores):
        found.append(found[-1] if found and score == scores[i - 1] else i + 1)
    return found


def reciprocal_ranks(lists: Mapping[str, Mapping[Key, int]]) -> dict[Key, float]:
    """Fuse ranked lists; return a score for each key, best first, ties by first appearance.

    A score is the sum of 1 / (60 + rank) over the lists, as a share of what the first of every list
    would get: 1 at most.

    Args:
        lists: The rank of each key, from 1; an empty list has no say.

    Source: Cormack, Clarke, Büttcher, SIGIR 2009.

    >>> reciprocal_ranks({"image": {"a": 1, "b": 2}, "words": {"b": 1}})["b"] > 0.99
    True
    """
    scores: dict[Key, float] = {}
    for ranks in lists.values():
        for key, rank in ranks.items():
            scores[key] = scores.get(key, 0.0) + 1.0 / (RANK_CONSTANT + rank)
    best = sum(1 for ranks in lists.values() if ranks) / (RANK_CONSTANT + 1)
    return {key: score / best for key, score in sorted(scores.items(), key=lambda one: -one[1])}


def diverse(
    relevance: Sequence[float], vectors: Vectors, count: int, diversity: float = DIVERSITY
) -> list[int]:
    """Pick by maximal marginal relevance; return positions in the order of picking.

    Each step takes the one with the largest (1 - diversity) * relevance - diversity * likeness to
    the most alike of those picked; the earlier one of equals.

    Args:
        relevance: Similarity to the query, shape (n,).
        vectors: Unit length, shape (n, dim).
        count: Largest number to pick; not negative.
        diversity: 0 (order of relevance) to 1.

    Raises:
        ValueError: An argument is out of its range, or the shapes differ.

    Source: Carbonell, Goldstein, SIGIR 1998, with lambda = 1 - diversity.
    """
    if len(relevance) != len(vectors):
        raise ValueError(f"{len(relevance)} relevances for {len(vectors)} vectors")
    if count < 0 or not 0 <= diversity <= 1:
        raise ValueError(f"count {count} or diversity {diversity} is out of its range")
    near = np.asarray(relevance, dtype=np.float64)
    alike = np.zeros(len(near))
    left = np.ones(len(near), dtype=bool)
    picked: list[int] = []
    while left.any() and len(picked) < count:
        gain = (1 - diversity) * near - diversity * alike
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        likeness = vectors @ vectors[best]
        alike = np.maximum(alike, likeness) if picked else likeness.astype(np.float64)
        left[best] = False
        picked.append(best)
    return picked
