"""The engines of `search_scale`, each built and asked in a process of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
from chromadb.api.collection_configuration import CreateCollectionConfiguration
from numpy.typing import NDArray

from overread.index.embedder import Vectors

VECTORS, QUERIES, COLLECTION = "vectors.npy", "queries.npy", "overread-images"
_TRUTH, _BLOCK, _WARM_UP = "truth.npy", 100_000, 5


@dataclass(frozen=True, slots=True)
class Work:
    """What an engine works on.

    Attributes:
        folder: With vectors and queries; what is built goes below it.
        k: Neighbours wanted.
        graph: "max_neighbors" and "ef_construction".
        ef: How many candidates a search keeps; `ef_search`.
    """

    folder: Path
    k: int
    graph: dict[str, int]
    ef: int = 0

    @property
    def vectors(self) -> Vectors:
        """The vectors, left on the disk."""
        return np.load(self.folder / VECTORS, mmap_mode="r")

    @property
    def queries(self) -> Vectors:
        """The queries."""
        return np.load(self.folder / QUERIES)

    @property
    def truth(self) -> NDArray[np.int64]:
        """What is right, (queries, k)."""
        return np.load(self.folder / _TRUTH)

    def measure(self, search: Callable[[Vectors], list[int]]) -> dict[str, float]:
        """Ask one query after the other; return recall, times, and the process's memory."""
        queries, truth = self.queries, self.truth
        for query in queries[:_WARM_UP]:
            search(query)
        taken, found = [], 0
        for query, right in zip(queries, truth.tolist(), strict=True):
            began = time.perf_counter()
            ids = search(query)
            taken.append(1000 * (time.perf_counter() - began))
            found += len({*ids} & {*right})
        p50, p95 = np.percentile(taken, [50, 95])
        told = {"recall": found / truth.size, "p50_ms": float(p50), "p95_ms": float(p95)}
        return told | {"rss_mb": psutil.Process().memory_info().rss / 1e6}


def _build_numpy(work: Work) -> None:
    """Find what is right, block by block, so that neither all vectors nor all products are held."""
    scores = np.empty((len(work.queries), 0), np.float32)
    rows = np.empty((len(work.queries), 0), np.int64)
    for start in range(0, len(work.vectors), _BLOCK):
        product = work.queries @ np.array(work.vectors[start : start + _BLOCK]).T
        numbers = np.broadcast_to(np.arange(start, start + product.shape[1]), product.shape)
        scores, rows = np.hstack([scores, product]), np.hstack([rows, numbers])
        best = np.argsort(-scores, axis=1, kind="stable")[:, : work.k]
        scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
    np.save(work.folder / _TRUTH, rows)


def _search_numpy(work: Work) -> dict[str, Any]:
    loaded = np.load(work.folder / VECTORS)

    def search(query: Vectors) -> list[int]:
        scores = loaded @ query
        best = np.argpartition(scores, -work.k)[-work.k :]
        return [int(row) for row in best[np.argsort(-scores[best])]]

    return work.measure(search)


def _build_hnswlib(work: Work) -> None:
    import hnswlib

    index = hnswlib.Index("cosine", work.vectors.shape[1])
    index.init_index(
        len(work.vectors),
        M=work.graph["max_neighbors"],
        ef_construction=work.graph["ef_construction"],
    )
    for start in range(0, len(work.vectors), _BLOCK):
        index.add_items(np.array(work.vectors[start : start + _BLOCK]))
    index.save_index(str(work.folder / "hnswlib" / "graph.bin"))


def _search_hnswlib(work: Work) -> dict[str, Any]:
    import hnswlib

    index = hnswlib.Index("cosine", work.vectors.shape[1])
    index.load_index(str(work.folder / "hnswlib" / "graph.bin"))
    index.set_num_threads(1)
    index.set_ef(work.ef)
    return work.measure(lambda query: index.knn_query(query, work.k)[0][0].tolist())


def _build_chroma(work: Work) -> None:
    from overread.index.chroma import connect
    from overread.index.shelf import HNSW

    client, hnsw = connect(work.folder / "chroma"), {**HNSW, **work.graph}
    configuration = cast(CreateCollectionConfiguration, {"hnsw": hnsw})
    collection = client.create_collection(
        COLLECTION, configuration=configuration, embedding_function=None
    )
    most = client.get_max_batch_size()
    for start in range(0, len(work.vectors), most):
        block = np.array(work.vectors[start : start + most])
        rows = range(start, start + len(block))
        collection.add(
            ids=[str(row) for row in rows],
            embeddings=block,
            metadatas=[{"study_id": f"s{row}", "patient_id": f"p{row}"} for row in rows],
        )


def _search_chroma(work: Work) -> dict[str, Any]:
    """Search by Chroma's query alone, and ("whole") as our tool does."""
    from overread.index.chroma import connect
    from overread.index.filters import Exclude
    from overread.index.search import nearest

    own = Exclude(patient="p0", study="s0", pixels="none")
    collection = connect(work.folder / "chroma").get_collection(COLLECTION, embedding_function=None)

    def alone(query: Vectors) -> list[int]:
        rows = collection.query(query_embeddings=query[None], n_results=work.k, include=[])
        return [int(row) for row in rows["ids"][0]]

    def whole(query: Vectors) -> list[int]:
        return [int(hit.id) for hit in nearest(collection, query, work.k, exclude=own)]

    return {**work.measure(alone), "whole": work.measure(whole)}


def _prepare_chroma(work: Work) -> None:
    """Set ef_search; Chroma reads it when a process opens the graph, and only then."""
    from overread.index.chroma import connect

    collection = connect(work.folder / "chroma").get_collection(COLLECTION, embedding_function=None)
    collection.modify(configuration={"hnsw": {"ef_search": work.ef}})


_BUILD = {"numpy": _build_numpy, "hnswlib": _build_hnswlib, "chroma": _build_chroma}
_SEARCH = {"numpy": _search_numpy, "hnswlib": _search_hnswlib, "chroma": _search_chroma}
ENGINES = tuple(_BUILD)


def build(name: str, work: Work) -> dict[str, float]:
    """Build an engine's index; return seconds, the process's largest memory, and MB on the disk."""
    place, began = work.folder / name, time.perf_counter()
    place.mkdir()
    _BUILD[name](work)
    seconds = time.perf_counter() - began
    stored = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    return {"build_s": seconds, "peak_mb": _peak_mb(), "disk_mb": stored / 1e6}


def _peak_mb() -> float:
    """Return the most memory that this process has held; `ru_maxrss` would count its parent's."""
    told = Path("/proc/self/status").read_text("ascii")
    kilobytes = next(line for line in told.splitlines() if line.startswith("VmHWM:")).split()[1]
    return int(kilobytes) * 1024 / 1e6


def prepare(name: str, work: Work) -> None:
    """Set an engine's ef where that needs a process of its own."""
    if name == "chroma":
        _prepare_chroma(work)


def search(name: str, work: Work) -> dict[str, Any]:
    """Search what was built; return recall, times, and by how many MB the process grew."""
    before = psutil.Process().memory_info().rss / 1e6
    found = _SEARCH[name](work)
    return {"ef": work.ef, **found, "rss_mb": found["rss_mb"] - before}
