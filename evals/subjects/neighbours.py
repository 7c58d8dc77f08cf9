"""The retrieval-only baseline: the most similar images, and what they were answered (kNN)."""

import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from overread.agent.threads import in_thread
from overread.evals.items import Item
from overread.evals.subjects.base import Reply
from overread.evals.subjects.majority import vote
from overread.evals.subjects.pictures import render
from overread.evals.subjects.pools import Pool, answer_text, case_id
from overread.imaging.errors import InputError
from overread.index.embedder import Embedder, Vectors

K = 5
DEPTH = 100
"""Cases in a ranking, where one is asked for."""

_SIZE, _BATCH = 224, 32


class NeighbourSubject:
    """Votes of the k nearest images among items of the same question type, weighted by cosine.

    An item of retrieval is answered by all cases of the pool, the nearest first.
    """

    def __init__(self, pool: Pool, embedder: Embedder, k: int = K) -> None:
        """Prepare; the pool is embedded by the first question.

        Args:
            pool: Items with answers; those without an image do not vote.
            embedder: Of images.
            k: How many vote.
        """
        self.name = "knn"
        self.identity: Mapping[str, Any] = {
            "kind": "knn", "k": k, "embedder": embedder.name,
            "pool": pool.name, "items": pool.digest(),
        }  # fmt: skip
        self._pool, self._embedder, self._k = pool, embedder, k
        self._lock = threading.Lock()
        self._vectors: Vectors | None = None

    async def answer(self, item: Item, prompt: str, seed: int) -> Reply:
        """As `Subject.answer`.

        Raises:
            InputError: The item has no image, or the pool no such question.
        """
        return await in_thread(lambda: self._answer(item))

    async def close(self) -> None:
        """Let the vectors go."""
        self._vectors = None

    def _answer(self, item: Item) -> Reply:
        if not item.images:
            raise InputError("the kNN baseline needs an image, and the item has none")
        if item.kind == "retrieval":
            return self._ranked(item)
        places = [place for place in self._pool.candidates(item) if self._pool.items[place].images]
        cosines = self._cosines(item, places)
        order = np.argsort(-cosines, kind="stable")[: self._k]
        votes: dict[str, float] = defaultdict(float)
        for number in order:
            votes[answer_text(self._pool.items[places[number]])] += max(float(cosines[number]), 0.0)
        reply = vote(item, votes, "kNN")
        near = [self._pool.items[places[number]].id for number in order]
        return Reply(text=reply.text, confidence=reply.confidence, detail={"neighbours": near})

    def _ranked(self, item: Item) -> Reply:
        places = self._pool.cases(item)
        if not places:
            raise InputError("the kNN baseline knows no case but the item's own")
        order = np.argsort(-self._cosines(item, places), kind="stable")
        near = dict.fromkeys(case_id(self._pool.items[places[number]]) for number in order)
        ranking = tuple(near)[:DEPTH]
        return Reply(text=", ".join(ranking[: self._k]), ranking=ranking)

    def _cosines(self, item: Item, places: list[int]) -> Vectors:
        """Return the similarity of an item's first image to those of the pool, shape (places,)."""
        with self._lock:
            vectors = self._embedded()
            query = self._embedder.embed_images(render(item, _SIZE)[:1])[0]
        return vectors[places] @ query if places else np.zeros(0, np.float32)

    def _embedded(self) -> Vectors:
        """Return a vector for each item of the pool (first image), zeros where it has none."""
        if self._vectors is None:
            vectors = np.zeros((len(self._pool.items), self._embedder.dim), np.float32)
            places = [place for place, item in enumerate(self._pool.items) if item.images]
            for start in range(0, len(places), _BATCH):
                batch = places[start : start + _BATCH]
                pictures = [render(self._pool.items[place], _SIZE)[0] for place in batch]
                vectors[batch] = self._embedder.embed_images(pictures)
            self._vectors = vectors
        return self._vectors
