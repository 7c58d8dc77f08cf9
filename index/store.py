"""The persistent index of cases: images and texts in two Chroma collections."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection
from chromadb.errors import NotFoundError
from PIL import Image as PILImage

from overread.imaging.errors import IndexMismatch
from overread.imaging.study import Image
from overread.index.chroma import connect, explained, is_url
from overread.index.embedder import Embedder
from overread.index.records import CaseRecord, Hit, picture
from overread.index.search import Where, cosines_by_study, filters, nearest

FORMAT = 1
IMAGES, TEXTS = "overread-images", "overread-texts"

# Chroma moves every 1000 vectors from its log into files; when those are lost it searches the rest
# without a word, but it cannot give the oldest vectors back.
_OLDEST = 100


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What an index holds."""

    images: int
    texts: int
    embedder: str
    by_domain: dict[str, int]


class CaseIndex:
    """Cases found by image or by text, with their provenance. Open it with `open`.

    Attributes:
        place: Folder or URL.
        embedder: The one the index was built with.
    """

    def __init__(
        self, place: str | Path, embedder: Embedder, images: Collection, texts: Collection
    ) -> None:
        """Hold the two collections; `open` checks them."""
        self.place = place
        self.embedder = embedder
        self._images = images
        self._texts = texts

    @classmethod
    def open(cls, place: str | Path, embedder: Embedder, create: bool = False) -> Self:
        """Open the index at a folder or at a Chroma server.

        Args:
            place: Folder, or "http(s)://host:port".
            embedder: Must be the one the index was built with.
            create: Make an empty index when there is none.

        Raises:
            IndexMismatch: There is no index, it was built with another embedder, or it is damaged.
            ConfigError: The server cannot be reached.
        """
        if not create and not has_index(place):
            raise IndexMismatch(f"There is no index at {place}; build one with 'overread index'.")
        client = connect(place)
        with explained(place):
            images = _collection(client, IMAGES, place, embedder, create)
            texts = _collection(client, TEXTS, place, embedder, create)
        index = cls(place, embedder, images, texts)
        index._check_vectors()
        return index

    def add(self, records: Iterable[CaseRecord]) -> int:
        """Embed and store cases; a case already there is replaced, never doubled.

        Returns:
            How many cases were written.
        """
        batch = list(records)
        if not batch:
            return 0
        vectors = self.embedder.embed_images([record.view for record in batch])
        passages = {record.text_id: record for record in batch}
        texts = self.embedder.embed_texts([record.text for record in passages.values()])
        rows = {record.image_id: i for i, record in enumerate(batch)}
        with explained(self.place):
            # Texts first: a case counts as done when its image is there.
            self._texts.upsert(
                ids=list(passages),
                embeddings=texts,
                metadatas=[record.metadata() for record in passages.values()],
                documents=[record.text for record in passages.values()],
            )
            self._images.upsert(
                ids=list(rows),
                embeddings=vectors[list(rows.values())],
                metadatas=[batch[i].metadata() for i in rows.values()],
            )
        return len(rows)

    def missing(self, records: Sequence[CaseRecord]) -> list[CaseRecord]:
        """Return the cases that are not stored yet, or are stored with other facts."""
        with explained(self.place):
            found = self._images.get(
                ids=[record.image_id for record in records], include=["metadatas"]
            )
        stored = dict(zip(found["ids"], found["metadatas"] or [], strict=True))
        return [record for record in records if stored.get(record.image_id) != record.metadata()]

    def search_image(
        self,
        image: Image | PILImage.Image,
        k: int,
        where: Where | None = None,
        exclude_patient: str | None = None,
        exclude_study: str | None = None,
    ) -> list[Hit]:
        """Return the k studies with the most similar images, best first.

        Args:
            image: From a study, or a picture already rendered.
            k: Number of studies wanted.
            where: Chroma metadata filter such as {"domain": "chest-xray"}.
            exclude_patient: Pseudonym whose studies must not come back.
            exclude_study: Study that must not come back.
        """
        view = picture(image) if isinstance(image, Image) else image
        vector = self.embedder.embed_images([view])[0]
        with explained(self.place):
            return nearest(self._images, vector, k, filters(where, exclude_patient, exclude_study))

    def search_text(self, text: str, k: int, where: Where | None = None) -> list[Hit]:
        """Return the k studies that best match a text, best first.

        Candidates come from both collections; the score is the mean of the text's cosine to the
        study's best image and to its report or caption.
        """
        if not text.strip():
            return []
        vector = self.embedder.embed_texts([text])[0]
        condition = filters(where)
        with explained(self.place):
            candidates = {
                hit.study_id
                for collection in (self._images, self._texts)
                for hit in nearest(collection, vector, 2 * k, condition)
            }
            if not candidates:
                return []
            images = cosines_by_study(self._images, vector, sorted(candidates))
            texts = cosines_by_study(self._texts, vector, sorted(candidates))
        hits = [
            replace(hit, score=(score + texts[study][0]) / 2)
            for study, (score, hit) in images.items()
            if study in texts
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:k]

    def holds(self, study_id: str) -> bool:
        """Whether a study is one of the cases."""
        with explained(self.place):
            return bool(self._images.get(where={"study_id": study_id}, limit=1)["ids"])

    def stats(self) -> IndexStats:
        """Count what is stored."""
        with explained(self.place):
            found = self._images.get(include=["metadatas"])["metadatas"] or []
            counts = Counter(str(meta.get("domain", "unknown")) for meta in found)
            return IndexStats(
                images=self._images.count(),
                texts=self._texts.count(),
                embedder=self.embedder.name,
                by_domain=dict(sorted(counts.items())),
            )

    def _check_vectors(self) -> None:
        with explained(self.place):
            for collection in (self._images, self._texts):
                collection.get(limit=_OLDEST, include=["embeddings"])


def has_index(place: str | Path) -> bool:
    """Whether something that looks like an index is at a folder (a URL is taken at its word)."""
    return is_url(place) or (Path(place) / "chroma.sqlite3").is_file()


def _collection(
    client: ClientAPI, name: str, place: str | Path, embedder: Embedder, create: bool
) -> Collection:
    """Get a collection and hold its identity against the embedder's."""
    identity = {"embedder": embedder.name, "dim": embedder.dim, "format": FORMAT}
    try:
        collection = client.get_collection(name, embedding_function=None)
    except NotFoundError as error:
        if not create:
            raise IndexMismatch(
                f"There is no Overread index at {place}; build one with 'overread index'."
            ) from error
        return client.create_collection(
            name,
            metadata=identity,
            configuration={"hnsw": {"space": "cosine"}},
            embedding_function=None,
        )
    stored = {key: (collection.metadata or {}).get(key) for key in identity}
    if stored != identity:
        raise IndexMismatch(
            f"The index at {place} was built with embedder {stored['embedder']} "
            f"(format {stored['format']}), but {embedder.name} (format {FORMAT}) is configured; "
            "set index.embedder to the old one or build the index again."
        )
    return collection
