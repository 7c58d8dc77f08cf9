"""Nearest cases and keywords in one Chroma collection, one hit per study. Knows no embedders."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from chromadb.api.models.Collection import Collection

from overread.index.embedder import Vectors
from overread.index.filters import Exclude, Filters, Where
from overread.index.keywords import CANDIDATES, keywords, spelled, weigh
from overread.index.ranked import best_first, one_per_study
from overread.index.records import Hit

NO_FILTERS, NOBODY = Filters(), Exclude()

_OVERFETCH = 4
# A stretch that denies, up to the end of its clause. Source: NegEx (Chapman et al., 2001), much reduced.
_DENIED = re.compile(
    r"\b(?:no|not|without|absent|absence of|negative for|free of)\b[^.;:\n]*", re.IGNORECASE
)
HALF = 0.5


def nearest(
    collection: Collection,
    vector: Vectors,
    k: int,
    filters: Filters = NO_FILTERS,
    exclude: Exclude = NOBODY,
) -> list[Hit]:
    """Return the best hit of each of the k nearest studies, best first.

    A study may have many images, and some hits may be excluded, so more is fetched until k studies
    are there or all is seen.

    Args:
        collection: Cosine space.
        vector: Unit length, shape (dim,).
        k: Largest number of hits.
        filters: Facts the cases must have.
        exclude: Whose hits to leave out.
    """
    fetch = k * _OVERFETCH
    while fetch > 0:
        rows = _query(collection, vector, fetch, filters.where())
        hits = one_per_study(hit for hit in rows if exclude.allows(hit))
        if len(hits) >= k or len(rows) < fetch:
            return hits[:k]
        fetch *= _OVERFETCH
    return []


def _query(collection: Collection, vector: Vectors, n: int, where: Where | None) -> list[Hit]:
    found = collection.query(
        query_embeddings=vector[None, :],
        n_results=n,
        where=where,
        include=["metadatas", "distances"],
    )
    assert found["distances"] is not None and found["metadatas"] is not None
    rows = zip(found["ids"][0], found["distances"][0], found["metadatas"][0], strict=True)
    hits = [Hit.from_metadata(id_, 1.0 - distance, meta) for id_, distance, meta in rows]
    return best_first(hits)


def vectors_of(collection: Collection, refs: Sequence[str]) -> dict[str, Vectors]:
    """Return the stored vectors of images, by reference; those that are not there are left out."""
    where: Where = {"ref": {"$in": list(refs)}}
    found = collection.get(where=where, include=["metadatas", "embeddings"])
    assert found["embeddings"] is not None and found["metadatas"] is not None
    rows = zip(found["metadatas"], found["embeddings"], strict=True)
    return {str(meta["ref"]): np.asarray(row, np.float32) for meta, row in rows}


def with_words(
    collection: Collection,
    text: str,
    k: int,
    filters: Filters = NO_FILTERS,
    exclude: Exclude = NOBODY,
) -> list[Hit]:
    """Return studies whose passages hold the query's words, those with the most words first.

    A word weighs more the fewer of the passages found have it; what a passage denies
    ("no effusion") does not count, unless the query denies something itself. Score: the share of the
    query's weight that the passage has, 0..1; those with less than half are about something else.

    Args:
        collection: With documents.
        text: The query.
        k: Largest number of hits.
        filters: Facts the cases must have.
        exclude: Whose hits to leave out.
    """
    words = keywords(text)
    if not words:
        return []
    passages: dict[str, tuple[str, Hit]] = {}
    every = [{"$or": spelled(word)} for word in words]
    clauses = [{"$and": every} if len(every) > 1 else every[0]]
    if len(words) > 1:
        clauses.append({"$or": [clause for word in words for clause in spelled(word)]})
    for clause in clauses:
        found = collection.get(
            where=filters.where(),
            where_document=clause,  # type: ignore[arg-type]
            limit=CANDIDATES,
            include=["metadatas", "documents"],
        )
        assert found["documents"] is not None and found["metadatas"] is not None
        rows = zip(found["ids"], found["documents"], found["metadatas"], strict=True)
        for id_, document, meta in rows:
            hit = Hit.from_metadata(id_, 0.0, meta)
            if exclude.allows(hit):
                passages.setdefault(id_, (document, hit))
    return _by_words(words, list(passages.values()), bool(_DENIED.search(text)))[:k]


def _by_words(words: Sequence[str], passages: Sequence[tuple[str, Hit]], denied: bool) -> list[Hit]:
    said = [text if denied else _DENIED.sub(" ", text) for text, _ in passages]
    weights, total = weigh(words, said)
    hits = [
        replace(hit, score=weight / total)
        for weight, (_, hit) in zip(weights, passages, strict=True)
        if weight / total >= HALF
    ]
    return one_per_study(best_first(hits))
