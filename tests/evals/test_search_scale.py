from pathlib import Path

import numpy as np
import pytest

from overread.evals.bench.search_engines import ENGINES, QUERIES, VECTORS, Work, build, search
from overread.evals.bench.search_scale import exponents, measure, needed, tables
from overread.evals.bench.vectors import draw, mixture


def test_vectors_have_length_one_and_come_in_kinds() -> None:
    source = mixture(32, seed=0)
    vectors, queries = draw(source, 400, 1), draw(source, 50, 2)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(vectors, draw(source, 400, 1))
    cosines = queries @ vectors.T
    assert cosines.max() < 0.9999  # no query is among the vectors
    assert np.sort(cosines, axis=1)[:, -1].mean() > np.median(cosines) + 0.4


def test_growth_is_the_slope_between_sizes() -> None:
    assert exponents([1_000, 10_000, 100_000], [1.0, 1.0, 10.0]) == [0.0, 1.0]


def test_the_cheapest_search_that_finds_enough_is_named() -> None:
    found = [{"ef": 50, "recall": 0.9}, {"ef": 100, "recall": 0.98}, {"ef": 200, "recall": 0.99}]
    assert needed(found) == found[1]
    assert needed(found[:1]) is None


def test_exact_search_finds_what_is_right(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / VECTORS, rng.standard_normal((300, 8), dtype=np.float32))
    np.save(tmp_path / QUERIES, rng.standard_normal((20, 8), dtype=np.float32))
    work = Work(tmp_path, 10, {})
    build("numpy", work)
    assert search("numpy", work)["recall"] == 1
    best = np.argmax(work.queries @ work.vectors.T, axis=1)
    np.testing.assert_array_equal(work.truth[:, 0], best)


@pytest.mark.slow
def test_every_engine_is_built_and_searched(tmp_path: Path) -> None:
    pytest.importorskip("hnswlib", reason="needs the 'bench' extra")
    graph = {"max_neighbors": 16, "ef_construction": 100}
    results = {1200: measure(1200, 20, graph, [100], tmp_path)}
    assert set(results[1200]) == set(ENGINES)
    for name, figures in results[1200].items():
        (row,) = figures["search"]
        assert row["recall"] > 0.97, name
        assert row["p95_ms"] >= row["p50_ms"] > 0
    assert results[1200]["chroma"]["search"][0]["whole"]["recall"] > 0.97
    assert [table.row_count for table in tables(results)] == [4, 3, 3]
