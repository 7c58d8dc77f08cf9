"""One domain's pair of Chroma collections: its images and its texts, with their identities."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection

from overread.imaging.errors import IndexMismatch
from overread.index.embedder import Vectors
from overread.index.records import CaseRecord, Metadata
from overread.index.select import Cut
from overread.index.sentences import TextEmbedder

FORMAT = 2
HNSW = {"space": "cosine", "ef_search": 200}
"""Of Chroma's graphs. With its own `ef_search` of 100 the best ten are barely found in a million vectors
(`evals.bench.search_scale`: recall 0.971, and 0.979 with 200, in the same time)."""

Kind = Literal["images", "texts"]
KINDS: tuple[Kind, Kind] = ("images", "texts")

_PREFIX = "overread."
_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# Chroma moves every 1000 vectors from its log into files; when those are lost it searches the rest
# without a word, but it cannot give the oldest vectors back.
_OLDEST = 100


@dataclass(eq=False)
class Shelf:
    """The images and the texts of one domain.

    Attributes:
        domain: Its name.
        images, texts: Collections; texts hold one passage per series.
    """

    domain: str
    images: Collection
    texts: Collection
    _sound: set[str] = field(default_factory=set)

    def check(self, kind: Kind, embedder: TextEmbedder, place: object) -> Collection:
        """Return a collection after holding its identity against the embedder's.

        Raises:
            IndexMismatch: It was built with another embedder.
            ChromaError: Its vectors are lost.
        """
        collection = self.images if kind == "images" else self.texts
        if kind not in self._sound:
            stored = (collection.metadata or {}).get("embedder")
            if stored != embedder.name:
                raise IndexMismatch(
                    f"The {self.domain} {kind} of the index at {place} were built with embedder "
                    f"{stored}, but {embedder.name} is configured; set index.embedders."
                    f"{self.domain} (or index.embedder) to the old one, or build the index again."
                )
            collection.get(limit=_OLDEST, include=["embeddings"])
            self._sound.add(kind)
        return collection

    @property
    def cut(self) -> Cut:
        """Where its ranked lists are cut: as fitted by `overread index tune`, or by default."""
        facts = self.images.metadata or {}
        if "gamma" not in facts:
            return Cut()
        return Cut(float(facts["gamma"]), float(facts["floor"]), fitted=True)

    def count_images(self) -> int:
        """Return the number of images; a series' pooled vector is none."""
        where: dict[str, Any] = {"pooled": {"$gt": 0}}
        pooled = self.images.get(where=where, include=[])["ids"]
        return self.images.count() - len(pooled)

    def remember(self, cut: Cut) -> None:
        """Store a fitted cut with the images."""
        facts = dict(self.images.metadata or {}) | {"gamma": cut.gamma, "floor": cut.floor}
        self.images.modify(metadata=facts)

    def write(self, records: Sequence[CaseRecord], images: Vectors, texts: Vectors) -> None:
        """Store cases with their vectors; one already there is replaced.

        Texts first: a case counts as done when its image is there.

        Args:
            records: n of this domain, with different image ids.
            images: Vectors, shape (n, dim).
            texts: Vectors, shape (n, dim of passages).
        """
        last = {record.text_id: i for i, record in enumerate(records)}
        self.texts.upsert(
            ids=list(last),
            embeddings=texts[list(last.values())],
            metadatas=[records[i].metadata() for i in last.values()],
            documents=[records[i].text for i in last.values()],
        )
        self.images.upsert(
            ids=[record.image_id for record in records],
            embeddings=images,
            metadatas=[record.metadata() for record in records],
        )

    def remove(self, image_ids: Sequence[str]) -> None:
        """Forget images, and the texts of studies of which no image is left."""
        found = self.images.get(ids=list(image_ids), include=["metadatas"])
        if not found["ids"]:
            return
        studies = {str(meta["study_id"]) for meta in found["metadatas"] or []}
        self.images.delete(ids=found["ids"])
        for study in sorted(studies):
            if not self.images.get(where={"study_id": study}, limit=1, include=[])["ids"]:
                self.texts.delete(where={"study_id": study})

    def documents(self, page: int) -> Iterator[tuple[str, Metadata, str]]:
        """Yield the texts with id and metadata; the shelf must not change meanwhile."""
        for start in range(0, self.texts.count(), page):
            found = self.texts.get(limit=page, offset=start, include=["metadatas", "documents"])
            rows = zip(
                found["ids"], found["metadatas"] or [], found["documents"] or [], strict=True
            )
            for id_, meta, document in rows:
                yield id_, dict(meta), document

    def rows(self, kind: Kind, page: int) -> Iterator[tuple[str, Metadata]]:
        """Yield ids with metadata, page by page; the shelf must not change meanwhile."""
        collection = self.images if kind == "images" else self.texts
        for start in range(0, collection.count(), page):
            found = collection.get(limit=page, offset=start, include=["metadatas"])
            for id_, meta in zip(found["ids"], found["metadatas"] or [], strict=True):
                yield id_, dict(meta)


def shelves(client: ClientAPI) -> dict[str, Shelf]:
    """Return the shelves there are, by domain. A pair that was never completed does not count."""
    found: dict[str, dict[str, Collection]] = {}
    for collection in client.list_collections():
        facts = collection.metadata or {}
        if collection.name.startswith(_PREFIX) and facts.get("kind") in KINDS:
            found.setdefault(str(facts["domain"]), {})[str(facts["kind"])] = collection
    return {
        domain: Shelf(domain, pair["images"], pair["texts"])
        for domain, pair in sorted(found.items())
        if len(pair) == len(KINDS)
    }


def make_shelf(client: ClientAPI, domain: str, images: TextEmbedder, texts: TextEmbedder) -> Shelf:
    """Make a domain's collections, remembering who embeds what; one that is there stays."""
    pair = {}
    for kind, embedder in zip(KINDS, (images, texts), strict=True):
        facts: dict[str, Any] = {"format": FORMAT, "domain": domain, "kind": kind}
        facts |= {"embedder": embedder.name, "dim": embedder.dim}
        pair[kind] = client.get_or_create_collection(
            f"{_PREFIX}{_slug(domain)}.{kind}",
            metadata=facts,
            configuration={"hnsw": HNSW},  # type: ignore[arg-type]
            embedding_function=None,
        )
    return Shelf(domain, pair["images"], pair["texts"])


def _slug(domain: str) -> str:
    """Return a name that Chroma allows; domains of a manifest may be any words."""
    if _PLAIN.fullmatch(domain) and not domain.endswith("-"):
        return domain
    return f"x{hashlib.sha256(domain.encode()).hexdigest()[:24]}"
