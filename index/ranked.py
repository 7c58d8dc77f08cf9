"""Ranked lists of hits: ordered, one for a study, joined, spread out. Knows no index."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from overread.index.embedder import Vectors
from overread.index.fuse import diverse, places, reciprocal_ranks
from overread.index.records import Hit


def best_first(hits: Iterable[Hit]) -> list[Hit]:
    """Order by score, equal ones by id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))


def one_per_study(hits: Iterable[Hit]) -> list[Hit]:
    """Keep the first hit of each study."""
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.study_id, hit)
    return list(best.values())


def fused(lists: Mapping[str, Sequence[Hit]]) -> list[Hit]:
    """Join ranked lists by study, best first; the first list that has a study gives its hit.

    Args:
        lists: Each best first, one hit a study.
    """
    ranks = {
        name: dict(
            zip((hit.study_id for hit in hits), places([hit.score for hit in hits]), strict=True)
        )
        for name, hits in lists.items()
    }
    first: dict[str, Hit] = {}
    for hit in (hit for hits in lists.values() for hit in hits):
        first.setdefault(hit.study_id, hit)
    return best_first(
        replace(
            first[study],
            score=score,
            ranks={name: there[study] for name, there in ranks.items() if study in there},
        )
        for study, score in reciprocal_ranks(ranks).items()
    )


def spread(hits: Sequence[Hit], vectors: Mapping[str, Vectors], k: int) -> list[Hit]:
    """Pick k hits that are like the query and unlike each other; those without a vector go.

    Args:
        hits: With scores.
        vectors: Unit vectors of one space, by image reference.
        k: Largest number to pick.
    """
    there = [hit for hit in hits if hit.ref in vectors]
    if not there:
        return []
    stacked = np.stack([vectors[hit.ref] for hit in there])
    return [there[i] for i in diverse([hit.score for hit in there], stacked, k)]
