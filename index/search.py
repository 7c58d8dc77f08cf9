"""Nearest cases in a Chroma collection, one per study. Knows collections, not embedders."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from chromadb.api.models.Collection import Collection

from overread.imaging.errors import InputError
from overread.index.embedder import Vectors
from overread.index.records import Hit

Where = Mapping[str, Any]

_OVERFETCH = 4


def filters(
    where: Where | None, exclude_patient: str | None = None, exclude_study: str | None = None
) -> dict[str, Any] | None:
    """Join a filter and the exclusions into one Chroma filter.

    >>> filters({"modality": "CT"}, exclude_patient="p1")
    {'$and': [{'modality': 'CT'}, {'patient_id': {'$ne': 'p1'}}]}
    """
    clauses: list[dict[str, Any]] = [{key: value} for key, value in (where or {}).items()]
    if exclude_patient is not None:
        clauses.append({"patient_id": {"$ne": exclude_patient}})
    if exclude_study is not None:
        clauses.append({"study_id": {"$ne": exclude_study}})
    if len(clauses) > 1:
        return {"$and": clauses}
    return clauses[0] if clauses else None


def nearest(
    collection: Collection, vector: Vectors, k: int, where: dict[str, Any] | None
) -> list[Hit]:
    """Return the best hit of each of the k nearest studies, best first.

    A study may have many images, so more is fetched until k studies are there or all is seen.

    Args:
        collection: Cosine space.
        vector: Unit length, shape (dim,).
        k: Largest number of hits.
        where: Chroma filter, or None.

    Raises:
        InputError: The filter is not one Chroma knows.
    """
    total = collection.count()
    fetch = min(total, k * _OVERFETCH)
    while fetch > 0:
        rows = _query(collection, vector, fetch, where)
        hits = _one_per_study(rows)
        if len(hits) >= k or fetch == total or len(rows) < fetch:
            return hits[:k]
        fetch = min(total, fetch * _OVERFETCH)
    return []


def _query(
    collection: Collection, vector: Vectors, n: int, where: dict[str, Any] | None
) -> list[Hit]:
    try:
        found = collection.query(
            query_embeddings=vector[None, :],
            n_results=n,
            where=where,
            include=["metadatas", "distances"],
        )
    except ValueError as error:
        raise InputError(f"The filter {where} cannot be used: {error}") from error
    assert found["distances"] is not None and found["metadatas"] is not None
    rows = zip(found["ids"][0], found["distances"][0], found["metadatas"][0], strict=True)
    hits = [Hit.from_metadata(id_, 1.0 - distance, meta) for id_, distance, meta in rows]
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))


def _one_per_study(hits: Sequence[Hit]) -> list[Hit]:
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.study_id, hit)
    return list(best.values())


def cosines_by_study(
    collection: Collection, vector: Vectors, study_ids: Sequence[str]
) -> dict[str, tuple[float, Hit]]:
    """Return each study's best cosine to the query in a collection, computed exactly.

    Args:
        collection: Cosine space.
        vector: Unit length, shape (dim,).
        study_ids: At least one.
    """
    where: dict[str, Any] = {"study_id": {"$in": list(study_ids)}}
    found = collection.get(where=where, include=["metadatas", "embeddings"])
    assert found["embeddings"] is not None and found["metadatas"] is not None
    best: dict[str, tuple[float, Hit]] = {}
    scores = np.asarray(found["embeddings"], dtype=np.float32) @ vector
    for id_, score, meta in zip(found["ids"], scores.tolist(), found["metadatas"], strict=True):
        hit = Hit.from_metadata(id_, score, meta)
        if hit.study_id not in best or score > best[hit.study_id][0]:
            best[hit.study_id] = score, hit
    return best
