"""Near-duplicates: pictures whose perceptual hashes and embeddings are nearly equal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from overread.index.embedder import Vectors
from overread.index.records import CaseRecord, Metadata

COARSE, FINE = 8, 16
"""Edges of the hash: 64 bits tell scenes apart, 256 bits patients, too."""

NEAR_BITS, NEAR_COSINE = 16, 0.95
"""Of 256. Measured on 210 phantoms: copies saved as JPEG, enlarged, brightened, or with noise
differ in at most 16 bits nine times in ten; no two patients in fewer than 26."""

_MOST_CANDIDATES = 16

Bits = NDArray[np.uint64]
Fetch = Callable[[Sequence[str]], Mapping[str, Vectors]]


def perceptual_hash(picture: PILImage.Image, edge: int = COARSE) -> int:
    """Return the difference hash of a picture, edge * edge bits: is each pixel brighter than next?

    Source: Krawetz, "Kind of Like That" (dHash), there of 9 x 8 grey pixels.
    """
    small = picture.convert("L").resize((edge + 1, edge), PILImage.Resampling.LANCZOS)
    grey = np.asarray(small, np.int16)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_duplicates(hashes: Bits, vectors: Vectors, bits: int, similarity: float) -> list[int]:
    """Return for each picture the first one that it nearly equals; itself if there is none.

    Args:
        hashes: (n,), of `perceptual_hash`.
        vectors: (n, dim), unit.
        bits: Hashes may differ in so many.
        similarity: Cosine that is needed, too.
    """
    first: list[int] = []
    for place in range(len(hashes)):
        apart = np.bitwise_count(hashes[:place] ^ hashes[place])
        close = np.flatnonzero(apart <= bits)
        close = close[vectors[close] @ vectors[place] >= similarity]
        first.append(first[close[0]] if close.size else place)
    return first


class _Row(NamedTuple):
    """An indexed image; `original` is the study that it doubles, or ""."""

    image_id: str
    study_id: str
    domain: str
    original: str


class Earlier:
    """The images indexed so far, to tell whether a new one nearly equals one of another study.

    Only hashes are held, 32 bytes an image; vectors are fetched for the few that are close.

    Args:
        entries: Ids and metadata of what the index holds.
        fetch: From image ids to their unit vectors; ids that are not there are left out.
        with_duplicates: Whether duplicates are indexed, too, so that others may be near them.
    """

    def __init__(
        self,
        entries: Iterable[tuple[str, Metadata]],
        fetch: Fetch,
        with_duplicates: bool = True,
    ) -> None:
        """Take over what is there."""
        self._fetch = fetch
        self._with_duplicates = with_duplicates
        self._hashes = np.zeros((0, FINE * FINE // 64), np.uint64)
        self._rows: list[_Row] = []
        self._place: dict[str, int] = {}
        for image_id, facts in entries:
            words = (str(facts.get(key, "")) for key in ("study_id", "domain", "duplicate_of"))
            self._append(_Row(image_id, *words), str(facts.get("picture_hash", "")))

    def __contains__(self, image_id: str) -> bool:
        """Whether an image is indexed."""
        return image_id in self._place

    def __len__(self) -> int:
        """Return how many images are indexed."""
        return len(self._rows)

    def originals(self, records: Sequence[CaseRecord], vectors: Sequence[Vectors]) -> list[str]:
        """Return for each image the earlier study that it nearly equals, or "".

        An image that is indexed keeps what was said of it, so that running again changes nothing.

        Args:
            records: In order; an earlier one of them counts as earlier.
            vectors: Their unit vectors.
        """
        new = {record.image_id: vector for record, vector in zip(records, vectors, strict=True)}
        found = []
        for record, vector in zip(records, vectors, strict=True):
            there = self._place.get(record.image_id)
            if there is not None:
                found.append(self._rows[there].original)
                continue
            original = self._original(record, vector, new)
            found.append(original)
            if self._with_duplicates or not original:
                row = _Row(record.image_id, record.study_id, record.domain, original)
                self._append(row, record.picture_hash)
        return found

    def _original(self, record: CaseRecord, vector: Vectors, new: Mapping[str, Vectors]) -> str:
        count = len(self._rows)
        if not record.picture_hash or not count:
            return ""
        apart = np.bitwise_count(self._hashes[:count] ^ _words(record.picture_hash)).sum(axis=1)
        # Which of several is named must not depend on the order in which they were written: an
        # index that is opened again gives its entries in another one.
        near = [(int(apart[i]), self._rows[i]) for i in np.flatnonzero(apart <= NEAR_BITS)]
        near = sorted(
            (bits, row)
            for bits, row in near
            if row.study_id != record.study_id and row.domain == record.domain
        )[:_MOST_CANDIDATES]
        elsewhere = [row.image_id for _, row in near if row.image_id not in new]
        stored = self._fetch(elsewhere) if elsewhere else {}
        studies = []
        for _, row in near:
            other = new.get(row.image_id, stored.get(row.image_id))
            if other is not None and float(other @ vector) >= NEAR_COSINE:
                studies.append(row.original or row.study_id)
        return min((study for study in studies if study != record.study_id), default="")

    def _append(self, row: "_Row", picture_hash: str) -> None:
        count = len(self._rows)
        if count == len(self._hashes):
            more = np.zeros((max(1024, count), self._hashes.shape[1]), np.uint64)
            self._hashes = np.concatenate([self._hashes, more])
        # Without a hash the row is far from every picture: a volume's pooled vector, for one.
        self._hashes[count] = _words(picture_hash) if picture_hash else ~np.uint64(0)
        self._place[row.image_id] = count
        self._rows.append(row)


def hash_text(picture: PILImage.Image) -> str:
    """Return the fine hash of a picture as 64 hexadecimal digits."""
    return f"{perceptual_hash(picture, FINE):064x}"


def _words(picture_hash: str) -> Bits:
    return np.frombuffer(bytes.fromhex(picture_hash), ">u8").astype(np.uint64)
