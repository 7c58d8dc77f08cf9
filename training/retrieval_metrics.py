"""Figures of retrieval on a matrix of similarities. Knows no model."""

import numpy as np
from numpy.typing import NDArray

Similarity = NDArray[np.float32]
Relevance = NDArray[np.bool_]


def recall_at(similarity: Similarity, relevant: Relevance, k: int) -> float:
    """Return the share of queries with a relevant item among the k most similar.

    Args:
        similarity: (queries, items).
        relevant: Same shape; True where the item is right for the query.
        k: At least one.

    >>> recall_at(np.array([[0.9, 0.1]]), np.array([[False, True]]), 1)
    0.0
    """
    return float(_top(similarity, relevant, k).any(axis=1).mean())


def chance_recall_at(relevant: Relevance, k: int) -> float:
    """Return `recall_at` of a ranking drawn at random, to the order of k / items.

    >>> chance_recall_at(np.array([[True, False, False, False]]), 1)
    0.25
    """
    return float((1 - (1 - relevant.mean(axis=1)) ** k).mean())


def precision_at(similarity: Similarity, relevant: Relevance, k: int) -> float:
    """Return the mean share of relevant items among the k most similar.

    Args:
        similarity: (queries, items).
        relevant: Same shape; True where the item is right for the query.
        k: At least one.
    """
    return float(_top(similarity, relevant, k).mean())


def _top(similarity: Similarity, relevant: Relevance, k: int) -> Relevance:
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(relevant, order, axis=1)
