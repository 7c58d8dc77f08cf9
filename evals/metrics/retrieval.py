"""Figures of retrieval, one value a query. Knows no model.

Every function takes similarities and relevance of shape (queries, items) and returns an array of
shape (queries,): average it, or hand it to `evals.statistics`. A ranked list without scores is the
row -0, -1, -2, ... Two rules hold throughout:

- Of equally similar items the irrelevant ones come first, so that neither the order of the items
  nor a similarity that is the same for all of them earns anything.
- A query for which nothing is relevant scores 0 and stays: whoever leaves it out says so.

Source: Manning, Raghavan, Schütze, Introduction to Information Retrieval, chapter 8 (2008).
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from overread.imaging.errors import InputError

Similarity = NDArray[np.floating]
Relevance = NDArray[np.bool_]
Grades = NDArray[np.integer] | NDArray[np.floating] | Relevance
PerQuery = NDArray[np.float64]

RECALL_AT = (1, 5, 10)
NDCG_AT = 10


def hit_rate_at(similarity: Similarity, relevant: Relevance, k: int) -> PerQuery:
    """Return 1 for queries with a relevant item among the k most similar, else 0.

    Work on image-text retrieval calls its mean "recall@k".

    Args:
        similarity: (queries, items).
        relevant: Same shape; True where the item is right for the query.
        k: At least one.

    Raises:
        InputError: The shapes differ, a similarity is not a number, or k is below one.

    >>> hit_rate_at(np.array([[0.9, 0.1]]), np.array([[False, True]]), 1).tolist()
    [0.0]
    """
    return np.asarray(_top(similarity, relevant, k).any(axis=1), dtype=np.float64)


def chance_hit_rate_at(relevant: Relevance, k: int) -> PerQuery:
    """Return `hit_rate_at` of a ranking drawn at random, to the order of k / items.

    >>> chance_hit_rate_at(np.array([[True, False, False, False]]), 1).tolist()
    [0.25]
    """
    return np.asarray(1 - (1 - relevant.mean(axis=1)) ** k)


def recall_at(similarity: Similarity, relevant: Relevance, k: int) -> PerQuery:
    """Return the share of a query's relevant items that is among the k most similar.

    Args, Raises: As `hit_rate_at`.

    >>> recall_at(np.array([[0.9, 0.5, 0.1]]), np.array([[True, False, True]]), 2).tolist()
    [0.5]
    """
    return _top(similarity, relevant, k).sum(axis=1) / np.maximum(relevant.sum(axis=1), 1)


def precision_at(similarity: Similarity, relevant: Relevance, k: int) -> PerQuery:
    """Return the share of k places that relevant items take; a place without item is wrong.

    Args, Raises: As `hit_rate_at`.

    >>> precision_at(np.array([[0.9, 0.5, 0.1]]), np.array([[True, False, True]]), 2).tolist()
    [0.5]
    """
    return _top(similarity, relevant, k).sum(axis=1) / k


def average_precision(similarity: Similarity, relevant: Relevance) -> PerQuery:
    """Return the mean precision at the places of the relevant items; its mean is the mAP.

    Args, Raises: As `hit_rate_at`.

    >>> average_precision(np.array([[0.9, 0.5, 0.1]]), np.array([[False, True, True]])).round(3)
    array([0.583])
    """
    ranked = _ranked(similarity, relevant)
    precision = ranked.cumsum(axis=1) / np.arange(1, ranked.shape[1] + 1)
    return (precision * ranked).sum(axis=1) / np.maximum(ranked.sum(axis=1), 1)


def reciprocal_rank(similarity: Similarity, relevant: Relevance) -> PerQuery:
    """Return 1 / place of the first relevant item; its mean is the MRR.

    Args, Raises: As `hit_rate_at`.

    >>> reciprocal_rank(np.array([[0.9, 0.5, 0.1]]), np.array([[False, True, True]])).tolist()
    [0.5]
    """
    ranked = _ranked(similarity, relevant)
    return np.where(ranked.any(axis=1), 1 / (ranked.argmax(axis=1) + 1), 0.0)


def ndcg_at(similarity: Similarity, grades: Grades, k: int) -> PerQuery:
    """Return the gain of the k most similar items, discounted by place, over the best possible.

    The gain of an item is its grade, its discount log2(place + 1), as in scikit-learn. Those who
    want the steeper gain pass `2.0**grades - 1`.

    Args:
        similarity: (queries, items).
        grades: Same shape; how relevant an item is, not negative. Booleans are 0 and 1.
        k: At least one.

    Raises:
        InputError: As `hit_rate_at`, or a grade is negative.

    Source: Järvelin, Kekäläinen, ACM Transactions on Information Systems 20:422 (2002).

    >>> ndcg_at(np.array([[0.9, 0.5, 0.1]]), np.array([[0, 2, 1]]), 3).round(3)
    array([0.67])
    """
    gains = np.asarray(grades, dtype=np.float64)
    if not (gains >= 0).all():
        raise InputError("a grade of relevance is negative or not a number; grade from 0 upwards")
    discounts = 1 / np.log2(np.arange(2, gains.shape[1] + 2)[:k])
    gained = _top(similarity, gains, k) @ discounts
    best = -np.sort(-gains, axis=1)[:, :k] @ discounts
    return np.divide(gained, best, out=np.zeros_like(best), where=best > 0)


def ranking_scores(ranking: Sequence[str], relevant: Collection[str]) -> dict[str, float]:
    """Return the figures of one ranked list: recall at 1, 5 and 10, average precision, nDCG at 10.

    Relevant cases that are not in the list count as never found, however short the list is.

    Args:
        ranking: Ids, the most similar first, each once.
        relevant: Ids.

    >>> ranking_scores(["a", "b", "c"], {"b", "z"})["map"]
    0.25
    """
    known, places = set(relevant), max(RECALL_AT)
    missing = len(known - set(ranking))
    fill = [False] * max(0, places - len(ranking))  # so that none of the missing has a place
    right = np.array([[case in known for case in ranking] + fill + [True] * missing])
    ranked = -np.arange(right.shape[1], dtype=np.float64)[None]
    listed = slice(0, right.shape[1] - missing)
    found = float(right[:, listed].sum()) / max(len(known), 1)
    precision = float(average_precision(ranked[:, listed], right[:, listed])[0])
    return {
        **{f"recall_at_{k}": float(recall_at(ranked, right, k)[0]) for k in RECALL_AT},
        "map": precision * found,
        f"ndcg_at_{NDCG_AT}": float(ndcg_at(ranked, right, NDCG_AT)[0]),
    }


def _top(similarity: Similarity, grades: Grades, k: int) -> NDArray:
    if k < 1:
        raise InputError(f"k is {k}; look at one place or more")
    return _ranked(similarity, grades)[:, :k]


def _ranked(similarity: Similarity, grades: Grades) -> NDArray:
    """Return the grades of a query's items, most similar first."""
    if similarity.ndim != 2 or similarity.shape != grades.shape or not similarity.shape[1]:
        raise InputError(
            f"similarities {similarity.shape} and relevance {grades.shape} must both be of one "
            "shape (queries, items) with at least one item"
        )
    if np.isnan(similarity).any():
        raise InputError("a similarity is not a number; look for an empty vector among the items")
    return np.take_along_axis(grades, np.lexsort((grades, -similarity), axis=1), axis=1)
