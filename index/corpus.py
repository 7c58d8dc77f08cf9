"""The text corpus: passages in a Chroma collection of their own, found by meaning and by words."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self

from chromadb.api.models.Collection import Collection
from chromadb.errors import NotFoundError

from overread.imaging.errors import IndexMismatch
from overread.index.chroma import connect, explained
from overread.index.fuse import reciprocal_ranks
from overread.index.keywords import CANDIDATES, keywords, spelled, weigh
from overread.index.passages import Passage
from overread.index.sentences import TextEmbedder
from overread.index.shelf import HNSW
from overread.index.store import has_index

COLLECTION = "overread.passages"

_WRITTEN_AT_A_TIME = 256
_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A passage found.

    Attributes:
        passage: With its provenance.
        score: The fused rank, 1 for the first of both lists.
        ranks: Its places, from 1, in the lists "meaning" and "keywords".
    """

    passage: Passage
    score: float
    ranks: dict[str, int] = field(default_factory=dict)


class TextCorpus:
    """Passages that are searched by meaning and by words. Open it with `open`.

    Attributes:
        place: Folder or URL.
        embedder: The one it was built with.
    """

    def __init__(self, place: str | Path, embedder: TextEmbedder, passages: Collection) -> None:
        """Hold the collection; `open` checks it."""
        self.place = place
        self.embedder = embedder
        self._passages = passages

    @classmethod
    def open(cls, place: str | Path, embedder: TextEmbedder, create: bool = False) -> Self:
        """Open the corpus at a folder or at a Chroma server.

        Args:
            place: Folder, or "http(s)://host:port"; may be that of an index of cases.
            embedder: Must be the one the corpus was built with.
            create: Make an empty one when there is none.

        Raises:
            IndexMismatch: There is none, it was built with another embedder, or it is damaged.
            ConfigError: The server cannot be reached.
        """
        client = connect(place)
        facts = {"kind": "passages", "embedder": embedder.name, "dim": embedder.dim}
        with explained(place):
            try:
                passages = client.get_collection(COLLECTION, embedding_function=None)
            except NotFoundError as error:
                if not create:
                    raise IndexMismatch(
                        f"There are no passages at {place}; make some with 'overread index corpus'."
                    ) from error
                passages = client.create_collection(
                    COLLECTION,
                    metadata=facts,
                    configuration={"hnsw": HNSW},  # type: ignore[arg-type]
                    embedding_function=None,
                )
        stored = (passages.metadata or {}).get("embedder")
        if stored != embedder.name:
            raise IndexMismatch(
                f"The passages at {place} were embedded with {stored}, but {embedder.name} is in "
                "use; install the one they were made with, or delete the index and build it again."
            )
        return cls(place, embedder, passages)

    def add(self, passages: Iterable[Passage]) -> Iterator[tuple[int, int]]:
        """Embed and store passages that are not there yet; a killed call goes on.

        Yields:
            How many were seen so far and how many of them were added.
        """
        seen = added = 0
        waiting = iter(passages)
        while some := list(islice(waiting, _WRITTEN_AT_A_TIME)):
            by_id = {passage.id: passage for passage in some}
            with explained(self.place):
                there = set(self._passages.get(ids=list(by_id), include=[])["ids"])
            new = {id_: passage for id_, passage in by_id.items() if id_ not in there}
            if new:
                texts = [f"{passage.title}. {passage.text}" for passage in new.values()]
                vectors = self.embedder.embed_texts(texts)
                with explained(self.place):
                    self._passages.upsert(
                        ids=list(new),
                        embeddings=vectors,
                        metadatas=[passage.metadata() for passage in new.values()],
                        documents=[passage.text for passage in new.values()],
                    )
            seen += len(some)
            added += len(new)
            yield seen, added

    def search(self, query: str, k: int) -> list[Found]:
        """Return the k passages that stand best in two lists, fused by reciprocal rank.

        The lists: passages that mean what the query does, and passages that have its words.

        Args:
            query: Words.
            k: Positive.
        """
        if not query.strip() or not len(self):
            return []
        depth = max(_DEPTH, 4 * k)
        with explained(self.place):
            meant = self._by_meaning(query, depth)
            said = self._by_words(query, depth)
        lists = {
            name: {id_: rank for rank, id_ in enumerate(ids, start=1)}
            for name, ids in (("meaning", meant), ("keywords", said))
        }
        both = said | meant
        found = []
        for id_, score in list(reciprocal_ranks(lists).items())[:k]:
            ranks = {name: places[id_] for name, places in lists.items() if id_ in places}
            found.append(Found(both[id_], score, ranks))
        return found

    def __len__(self) -> int:
        """Return how many passages there are."""
        with explained(self.place):
            return self._passages.count()

    def _by_meaning(self, query: str, depth: int) -> dict[str, Passage]:
        found = self._passages.query(
            query_embeddings=self.embedder.embed_texts([query]),
            n_results=depth,
            include=["metadatas", "documents"],
        )
        assert found["documents"] is not None and found["metadatas"] is not None
        rows = zip(found["ids"][0], found["documents"][0], found["metadatas"][0], strict=True)
        return {id_: _passage(document, meta) for id_, document, meta in rows}

    def _by_words(self, query: str, depth: int) -> dict[str, Passage]:
        """Return passages that have words of the query; rare words and more of them weigh more."""
        words = keywords(query)
        there: dict[str, Passage] = {}
        for word in words:
            found = self._passages.get(
                where_document={"$or": spelled(word)},  # type: ignore[arg-type,dict-item]
                limit=CANDIDATES,
                include=["metadatas", "documents"],
            )
            assert found["documents"] is not None and found["metadatas"] is not None
            rows = zip(found["ids"], found["documents"], found["metadatas"], strict=True)
            there |= {id_: _passage(document, meta) for id_, document, meta in rows}
        weights, _ = weigh(words, [passage.text for passage in there.values()])
        scores = {id_: weight for id_, weight in zip(there, weights, strict=True) if weight}
        best = sorted(scores, key=lambda id_: (-scores[id_], id_))[:depth]
        return {id_: there[id_] for id_ in best}


def has_passages(place: str | Path) -> bool:
    """Return whether there is a text corpus at a folder or at a Chroma server.

    Raises:
        IndexMismatch: What is there is damaged. ConfigError: The server cannot be reached.
    """
    if not has_index(place):
        return False
    with explained(place):
        return any(found.name == COLLECTION for found in connect(place).list_collections())


def _passage(text: str, facts: Any) -> Passage:
    words = {key: str(facts.get(key, "")) for key in ("title", "source", "licence", "where")}
    return Passage(text=text, **words, part=int(facts["part"]), parts=int(facts["parts"]))
