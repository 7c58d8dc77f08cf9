"""Search at 10,000 to 1,000,000 vectors: Chroma beside hnswlib and beside exact search in numpy.

    python -m overread.evals.bench.search_scale --sizes 10000 100000 1000000
    python -m overread.evals.bench.search_scale --sizes 1000000 --ef 100 200 --max-neighbors 32

Synthetic vectors (`evals.bench.vectors`), queries that are not among them. Each engine is built in
one process and searched in another, one query at a time on one thread, so that resident memory is that of
a process that searches. Two times are told of Chroma: its own query alone, and our `nearest` around it,
which fetches more and reads the facts of each case. Times of different machines cannot be compared;
the ratios of one run can.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from overread.evals.bench.search_engines import (
    ENGINES,
    QUERIES,
    VECTORS,
    Work,
    build,
    prepare,
    search,
)
from overread.evals.bench.vectors import draw, mixture
from overread.imaging.errors import ConfigError, OverreadError
from overread.imaging.files import ORDINARY, write_whole

DIM, K, SEED = 256, 10, 0
RECALL = 0.97
"""What approximate search has to reach."""

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Figures = dict[str, Any]
T = TypeVar("T")


def measure(
    size: int, queries: int, graph: dict[str, int], efs: list[int], folder: Path
) -> dict[str, Figures]:
    """Build and search every engine on one set of vectors.

    Args:
        size: Number of vectors.
        queries: Asked of each engine.
        graph: "max_neighbors" and "ef_construction" of both graphs.
        efs: Values of ef_search.
        folder: Empty; what is in it afterwards is of no more use.

    Raises:
        ConfigError: hnswlib is not installed.
    """
    if find_spec("hnswlib") is None:
        raise ConfigError(
            "hnswlib is not installed: pip install 'overread[bench]' (it needs a C++ compiler)"
        )
    source = mixture(DIM, SEED)
    np.save(folder / VECTORS, draw(source, size, SEED + 1))
    np.save(folder / QUERIES, draw(source, queries, SEED + 2))
    work, found = Work(folder, K, graph), dict[str, Figures]()
    for name in ENGINES:
        found[name] = {**_in_process(build, name, work), "search": []}
        for ef in efs if name != "numpy" else [0]:
            tried = replace(work, ef=ef)
            _in_process(prepare, name, tried)
            found[name]["search"].append(_in_process(search, name, tried))
    return found


def exponents(sizes: list[int], times: list[float]) -> list[float]:
    """Return how time grows from each size to the next: the power of the size.

    >>> exponents([10, 100], [1.0, 10.0])
    [1.0]
    """
    grown = np.diff(np.log(times)) / np.diff(np.log(sizes))
    return [round(float(power), 2) for power in grown]


def needed(search: list[Figures]) -> Figures | None:
    """Return the first search that finds enough, the cheapest ef first; None if none does."""
    return next((found for found in search if found["recall"] >= RECALL), None)


def tables(results: dict[int, dict[str, Figures]]) -> list[Table]:
    """Return the search of each engine, its cost, and the growth with size."""
    speed = Table(
        "vectors", "engine", "ef", "recall@10", "p50 ms", "p95 ms", "x numpy", "x hnswlib"
    )
    cost = Table(
        "vectors", "engine", "build s", "peak MB", "resident MB", "disk MB", "enough at ef"
    )
    for size, engines in results.items():
        plain = engines["numpy"]["search"][0]
        theirs = {row["ef"]: row for row in engines["hnswlib"]["search"]}
        for name, figures in engines.items():
            for row in figures["search"]:
                same = theirs.get(row["ef"])
                for told, times in ((name, row), (f"{name}, ours", row.get("whole"))):
                    if times:
                        speed.add_row(*_cells(size, told, row["ef"], times, plain, same))
            first = needed(figures["search"])
            amounts = [figures["build_s"], figures["peak_mb"], figures["search"][-1]["rss_mb"]]
            amounts.append(figures["disk_mb"])
            enough = "none" if first is None else str(first["ef"] or "-")
            cost.add_row(f"{size:,}", name, *(f"{amount:,.1f}" for amount in amounts), enough)
    return [speed, cost, _growth(results)]


def _cells(
    size: int, name: str, ef: int | None, row: Figures, plain: Figures, same: Figures | None
) -> list[str]:
    ratios = [row[key] / plain[key] for key in ("p50_ms", "p95_ms")]
    beside = [row[key] / same[key] for key in ("p50_ms", "p95_ms")] if same else []
    return [
        f"{size:,}", name, str(ef or "-"), f"{row['recall']:.3f}",
        f"{row['p50_ms']:.2f}", f"{row['p95_ms']:.2f}",
        " / ".join(f"{ratio:.2f}" for ratio in ratios),
        " / ".join(f"{ratio:.2f}" for ratio in beside) or "-",
    ]  # fmt: skip


def _growth(results: dict[int, dict[str, Figures]]) -> Table:
    table = Table(
        "engine", "ef", "p50 grows with size to the power of (from each size to the next)"
    )
    sizes = list(results)
    for name in ENGINES:
        for place, row in enumerate(results[sizes[0]][name]["search"]):
            times = [results[size][name]["search"][place]["p50_ms"] for size in sizes]
            grown = ", ".join(f"{power:.2f}" for power in exponents(sizes, times)) or "one size"
            table.add_row(name, str(row["ef"] or "-"), grown)
    return table


def _in_process(do: Callable[[str, Work], T], name: str, work: Work) -> T:
    # A spawned process starts with no memory of ours, and reads the number of threads anew.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(do, (name, work))


def main() -> int:
    """Parse the command line, measure, print, and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--ef", type=int, nargs="+", default=[50, 100, 200, 400])
    parser.add_argument("--max-neighbors", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/search-scale.json"))
    args = parser.parse_args()
    graph = {"max_neighbors": args.max_neighbors, "ef_construction": args.ef_construction}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    console, results = Console(), dict[int, dict[str, Figures]]()
    try:
        for size in sorted(args.sizes):
            with tempfile.TemporaryDirectory(prefix="overread-search-") as work:
                results[size] = measure(size, args.queries, graph, args.ef, Path(work))
            args.out.parent.mkdir(parents=True, exist_ok=True)
            told = {"dim": DIM, "k": K, "queries": args.queries, **graph, "sizes": results}
            write_whole(args.out, json.dumps(told, indent=2) + "\n", mode=ORDINARY)
    except OverreadError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    for table in tables(results):
        console.print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
