"""The persistent index of cases: for each domain a pair of Chroma collections and an embedder."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from chromadb.api import ClientAPI
from PIL import Image as PILImage

from overread.imaging.errors import IndexMismatch
from overread.imaging.study import Image
from overread.index.catalogue import open_catalogue
from overread.index.chroma import connect, explained, is_url
from overread.index.embedder import Embedder, Vectors
from overread.index.filters import ANYWHERE, Scope
from overread.index.ranked import best_first, fused, one_per_study, spread
from overread.index.records import CaseRecord, Hit, Metadata, picture
from overread.index.search import nearest, vectors_of, with_words
from overread.index.select import Cut, Policy
from overread.index.sentences import UNRELATED, Passages, SentenceEmbedder, TextEmbedder
from overread.index.shelf import Kind, Shelf, make_shelf, shelves
from overread.index.towers import Towers

_DEPTH = 50
"""Shortest list that is fused: the fusion needs to see where a case stands in each."""
_SPREAD = 4
_PAGE = 1000

Loader = Callable[[], Embedder]


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What an index holds.

    Attributes:
        images, texts: Numbers of both.
        embedder: The default one.
        by_domain: Number of images. embedders: Of each domain. passages: What embeds the texts.
    """

    images: int
    texts: int
    embedder: str
    by_domain: dict[str, int]
    embedders: dict[str, str]
    passages: str


class CaseIndex:
    """Cases found by image, by words or by both, with their provenance. Open it with `open`.

    Attributes:
        place: Folder or URL.
        embedder: The default one, which the index was built with.
        policy: How `overread.index.retrieve` retrieves from it.
    """

    def __init__(
        self,
        place: str | Path,
        embedder: Embedder,
        client: ClientAPI,
        by_domain: Mapping[str, Loader],
        passages: Passages,
        policy: Policy,
    ) -> None:
        """Hold the client; `open` checks what is there."""
        self.place = place
        self.embedder = embedder
        self.policy = policy
        self._client = client
        self._by_domain = dict(by_domain)
        self._own: dict[str, Embedder] = {}
        self._passages = passages
        self._known: dict[str, Shelf] = {}

    @classmethod
    def open(
        cls,
        place: str | Path,
        embedder: Embedder,
        create: bool = False,
        by_domain: Mapping[str, Loader] | None = None,
        passages: Passages = "sentences",
        policy: Policy = Policy(),  # noqa: B008 (frozen)
    ) -> Self:
        """Open the index at a folder or at a Chroma server; collections wait until they are used.

        Args:
            place: Folder, or "http(s)://host:port".
            embedder: Of all domains without their own; the one the index was built with.
            create: Make an empty index when there is none.
            by_domain: Loaders of the embedders of single domains.
            passages: Of a new index: the packaged sentence encoder where it is installed, or the
                text tower of each domain's embedder. An index remembers which.
            policy: How to retrieve.

        Raises:
            IndexMismatch: There is no index, it was built with another embedder or by an older
                Overread, or it is damaged.
            ConfigError: The server cannot be reached.
        """
        if not create and not has_index(place):
            raise IndexMismatch(f"There is no index at {place}; build one with 'overread index'.")
        client = connect(place)
        with explained(place):
            stored = open_catalogue(client, place, embedder, create, passages)
        return cls(place, embedder, client, by_domain or {}, stored, policy)

    def embedder_of(self, domain: str) -> Embedder:
        """Return the embedder of a domain's images, loading it the first time.

        Raises:
            ConfigError: It cannot be loaded.
        """
        if domain in self._by_domain and domain not in self._own:
            self._own[domain] = self._by_domain[domain]()
        return self._own.get(domain, self.embedder)

    def passages_of(self, domain: str) -> TextEmbedder:
        """Return what embeds a domain's texts.

        Raises:
            ConfigError: The index needs the sentence encoder, and it is not installed.
        """
        return sentences() if self._passages == "sentences" else self.embedder_of(domain)

    def add(
        self,
        records: Iterable[CaseRecord],
        vectors: Sequence[Vectors] | Vectors | None = None,
        texts: Sequence[Vectors] | None = None,
    ) -> int:
        """Embed and store cases; a case already there is replaced, never doubled.

        A case that was filed under another domain leaves it.

        Args:
            records: Of any domains.
            vectors: Of their images, if known: a unit vector for each, by its domain's embedder.
            texts: Of their texts, if known: likewise.

        Returns:
            How many cases were written.

        Raises:
            ValueError: The numbers of vectors and of records differ, or a record has neither a
                picture nor a vector.
        """
        batch = list(records)
        if vectors is not None and len(vectors) != len(batch):
            raise ValueError(f"{len(vectors)} vectors for {len(batch)} records")
        rows = {record.image_id: i for i, record in enumerate(batch)}
        by_domain: dict[str, list[tuple[str, int]]] = {}
        for image_id, i in rows.items():
            by_domain.setdefault(batch[i].domain, []).append((image_id, i))
        with explained(self.place):
            before = {shelf.domain: shelf for shelf in self._shelves()}
        for domain, chosen in by_domain.items():
            some = [batch[i] for _, i in chosen]
            embedder, passages = self.embedder_of(domain), self.passages_of(domain)
            if vectors is None:
                views = [record.view for record in some if record.view is not None]
                if len(views) < len(some):
                    raise ValueError("a record without its picture needs its vector")
                images = embedder.embed_images(views)
            else:
                images = np.stack([np.asarray(vectors[i], np.float32) for _, i in chosen])
            if texts is None:
                said = passages.embed_texts([record.text for record in some])
            else:
                said = np.stack([np.asarray(texts[i], np.float32) for _, i in chosen])
            with explained(self.place):
                shelf = before.get(domain) or make_shelf(self._client, domain, embedder, passages)
                shelf.check("images", embedder, self.place)
                shelf.check("texts", passages, self.place)
                self._known[domain] = shelf
                # Before they are written: a process killed in between leaves cases missing, which
                # the next run sees, rather than doubled, which it would not.
                for other in before.values():
                    if other.domain != domain:
                        other.remove([image_id for image_id, _ in chosen])
                shelf.write(some, images, said)
        return len(rows)

    def missing(self, records: Sequence[CaseRecord]) -> list[CaseRecord]:
        """Return the cases that are not stored yet, or are stored with other facts."""
        ids = [record.image_id for record in records]
        stored: dict[str, Metadata] = {}
        with explained(self.place):
            for shelf in self._shelves():
                here = [
                    i
                    for i, record in zip(ids, records, strict=True)
                    if record.domain == shelf.domain
                ]
                if here:
                    found = shelf.images.get(ids=here, include=["metadatas"])
                    stored |= zip(found["ids"], map(dict, found["metadatas"] or []), strict=True)
        return [
            record
            for image_id, record in zip(ids, records, strict=True)
            if stored.get(image_id) != record.metadata()
        ]

    def entries(
        self, kind: Kind = "images", domain: str | None = None
    ) -> Iterator[tuple[str, Metadata]]:
        """Yield every id with its metadata, of one domain or of all; do not add meanwhile."""
        with explained(self.place):
            for shelf in self._shelves():
                if domain in (None, shelf.domain):
                    yield from shelf.rows(kind, _PAGE)

    def vectors(self, domain: str, refs: Sequence[str]) -> dict[str, Vectors]:
        """Return the stored vectors of a domain's images by reference, of those that are there."""
        with explained(self.place):
            shelf = self._shelf(domain)
            if shelf is None or not refs:
                return {}
            images = shelf.check("images", self.embedder_of(domain), self.place)
            return vectors_of(images, refs)

    def documents(self) -> Iterator[tuple[str, Metadata, str]]:
        """Yield every text with its id and metadata, domain by domain; do not add meanwhile."""
        with explained(self.place):
            for shelf in self._shelves():
                yield from shelf.documents(_PAGE)

    def vectors_by_id(self, image_ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the unit vectors of images by id; those that are not there are left out."""
        found: dict[str, Vectors] = {}
        with explained(self.place):
            for shelf in self._shelves() if image_ids else []:
                rows = shelf.images.get(ids=list(image_ids), include=["embeddings"])
                vectors = np.asarray(rows["embeddings"], np.float32)
                found |= zip(rows["ids"], vectors, strict=True)
        return found

    def towers(self) -> Towers:
        """Return what embeds its images and texts, loading all of it.

        Raises:
            ConfigError: An embedder cannot be loaded.
        """
        own = {domain: self.embedder_of(domain) for domain in sorted(self._by_domain)}
        return Towers(self.embedder, own, sentences() if self._passages == "sentences" else None)

    def domains(self) -> list[str]:
        """Return the domains that have cases."""
        return list(self.stats().by_domain)

    def search_vector(self, vector: Vectors, k: int, scope: Scope = ANYWHERE) -> list[Hit]:
        """Return the k studies with the most similar images, best first.

        Args:
            vector: Unit length, shape (dim,), by the embedder of the scope's domain.
            k: Number of studies wanted.
            scope: Where to look.
        """
        hits: list[Hit] = []
        with explained(self.place):
            for shelf in self._within(scope):
                images = shelf.check("images", self.embedder_of(shelf.domain), self.place)
                hits += nearest(images, vector, k, scope.filters, scope.exclude)
        return one_per_study(best_first(hits))[:k]

    def search_image(
        self, image: Image | PILImage.Image, k: int, scope: Scope = ANYWHERE, diverse: bool = False
    ) -> list[Hit]:
        """Return the k studies with the most similar images, best first.

        Args:
            image: From a study, or a picture already rendered.
            k: Number of studies wanted.
            scope: Where to look.
            diverse: Pick by maximal marginal relevance rather than by similarity alone.
        """
        view = picture(image) if isinstance(image, Image) else image
        vector = self._tower(scope).embed_images([view])[0]
        hits = self.search_vector(vector, _SPREAD * k if diverse else k, scope)
        return self._spread(hits, k, scope) if diverse else hits

    def search(
        self,
        text: str,
        k: int,
        scope: Scope = ANYWHERE,
        image: Image | PILImage.Image | None = None,
        diverse: bool = False,
    ) -> list[Hit]:
        """Return the k studies that stand best in several lists, fused by reciprocal rank.

        The lists: images by the image, images by the text, passages by the text, passages that hold
        the text's words.

        Args:
            text: Words; without any, and where no report speaks of them, the image alone is
                searched for.
            k: Number of studies wanted.
            scope: Where to look.
            image: From a study, or a picture already rendered, or None.
            diverse: Pick by maximal marginal relevance rather than by rank alone.
        """
        depth = max(_DEPTH, _SPREAD * k)
        lists: dict[str, list[Hit]] = {}
        if image is not None:
            lists["image"] = self.search_image(image, depth, scope)
        meant, said = self._passages_for(text, depth, scope) if text.strip() else ([], [])
        if said or (meant and (self._passages == "tower" or meant[0].score >= UNRELATED)):
            by_words = self._tower(scope).embed_texts([text])[0]
            lists["image by words"] = self.search_vector(by_words, depth, scope)
            lists |= {"report": meant, "keywords": said}
        hits = fused(lists)
        return self._spread(hits[: _SPREAD * k], k, scope) if diverse else hits[:k]

    def cut(self, domain: str) -> Cut:
        """Return where the ranked cases of a domain are cut."""
        with explained(self.place):
            shelf = self._shelf(domain)
        return shelf.cut if shelf else Cut()

    def remember(self, domain: str, cut: Cut) -> None:
        """Store a fitted cut with a domain's collection.

        Raises:
            IndexMismatch: The index has no case of the domain.
        """
        with explained(self.place):
            shelf = self._shelf(domain)
            if shelf is None:
                raise IndexMismatch(f"The index at {self.place} has no case of {domain}.")
            shelf.remember(cut)

    def holds(self, study_id: str) -> bool:
        """Whether a study is one of the cases."""
        with explained(self.place):
            return any(
                shelf.images.get(where={"study_id": study_id}, limit=1)["ids"]
                for shelf in self._shelves()
            )

    def stats(self) -> IndexStats:
        """Count what is stored."""
        with explained(self.place):
            found = self._shelves()
            counts = {shelf.domain: shelf.count_images() for shelf in found}
            texts = sum(shelf.texts.count() for shelf in found)
            named = {shelf.domain: str(shelf.images.metadata["embedder"]) for shelf in found}
        return IndexStats(
            images=sum(counts.values()),
            texts=texts,
            embedder=self.embedder.name,
            by_domain={domain: count for domain, count in counts.items() if count},
            embedders=named,
            passages=self._passages,
        )

    def _shelves(self) -> list[Shelf]:
        """Return the shelves, also those that another process has made meanwhile."""
        found = shelves(self._client)
        for domain, shelf in found.items():
            known = self._known.get(domain)
            if known is None or known.images.id != shelf.images.id:
                self._known[domain] = shelf
        self._known = {domain: self._known[domain] for domain in found}
        return list(self._known.values())

    def _shelf(self, domain: str) -> Shelf | None:
        return next((shelf for shelf in self._shelves() if shelf.domain == domain), None)

    def _within(self, scope: Scope) -> list[Shelf]:
        """Return a domain's shelf, or all that the default embedder serves."""
        return [
            shelf
            for shelf in self._shelves()
            if shelf.domain == scope.domain
            or (scope.domain is None and shelf.domain not in self._by_domain)
        ]

    def _tower(self, scope: Scope) -> Embedder:
        return self.embedder if scope.domain is None else self.embedder_of(scope.domain)

    def _passages_for(self, text: str, depth: int, scope: Scope) -> tuple[list[Hit], list[Hit]]:
        """Return the studies whose passages mean what a text does, and those that have its words."""
        meant: list[Hit] = []
        said: list[Hit] = []
        # The sentence encoder serves all domains, whatever embeds their images.
        everywhere = scope.domain is None and self._passages == "sentences"
        with explained(self.place):
            for shelf in self._shelves() if everywhere else self._within(scope):
                passages = self.passages_of(shelf.domain)
                texts = shelf.check("texts", passages, self.place)
                vector = passages.embed_texts([text])[0]
                meant += nearest(texts, vector, depth, scope.filters, scope.exclude)
                said += with_words(texts, text, depth, scope.filters, scope.exclude)
        return one_per_study(best_first(meant))[:depth], one_per_study(best_first(said))[:depth]

    def _spread(self, hits: Sequence[Hit], k: int, scope: Scope) -> list[Hit]:
        """Pick k hits that are like the query and unlike each other, all of one space."""
        with explained(self.place):
            domains = [shelf.domain for shelf in self._within(scope)]
        vectors: dict[str, Vectors] = {}
        for domain in domains:
            vectors |= self.vectors(domain, [hit.ref for hit in hits if hit.domain == domain])
        return spread(hits, vectors, k)


@lru_cache(maxsize=1)
def sentences() -> SentenceEmbedder:
    """Return the sentence encoder, loaded once a process.

    Raises:
        ConfigError: It is not installed.
    """
    return SentenceEmbedder()


def has_index(place: str | Path) -> bool:
    """Whether something that looks like an index is at a folder (a URL is taken at its word)."""
    return is_url(place) or (Path(place) / "chroma.sqlite3").is_file()
