"""Damaged graph files of Chroma are seen before its native code, which they would end, reads them."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overread.imaging.errors import IndexMismatch
from overread.index import graph_files
from overread.index.chroma import connect
from overread.index.graph_files import damaged

DIM = 16
SEARCH = """
import sys
import numpy as np
from overread.index import chroma
chroma.damaged = lambda place: None
found = chroma.connect(sys.argv[1]).get_collection("cases", embedding_function=None)
for seed in range(20):
    query = np.random.default_rng(seed).normal(size=16)
    found.query(query_embeddings=[query.tolist()], n_results=10)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Chroma with a graph of 2,200 elements on the disk, some deleted and some changed."""
    place = tmp_path_factory.mktemp("graph") / "index"
    rng = np.random.default_rng(0)
    made = connect(place).create_collection("cases", embedding_function=None)
    for start in range(0, 2200, 550):
        ids = [str(number) for number in range(start, start + 550)]
        made.add(ids=ids, embeddings=rng.normal(size=(550, DIM)).astype(np.float32))
    made.delete(ids=[str(number) for number in range(100, 160)])
    made.update(ids=["7"], embeddings=rng.normal(size=(1, DIM)).astype(np.float32))
    for start in range(3000, 4100, 550):
        ids = [str(number) for number in range(start, start + 550)]
        made.add(ids=ids, embeddings=rng.normal(size=(550, DIM)).astype(np.float32))
    return place


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_files, "_PAUSE_S", 0.0)


def graph(place: Path) -> Path:
    (found,) = place.glob("*/header.bin")
    return found.parent


def test_a_whole_graph_passes_and_so_does_an_absent_one(built: Path, tmp_path: Path) -> None:
    assert (graph(built) / "data_level0.bin").stat().st_size > 0
    assert damaged(built) is None
    assert damaged(tmp_path) is None and damaged(tmp_path / "none") is None


def _write(place: Path, file: str, at: int, word: int) -> None:
    path = graph(place) / file
    words = np.frombuffer(path.read_bytes(), np.uint32).copy()
    words[at] = word
    path.write_bytes(words.tobytes())


@pytest.mark.parametrize(
    ("file", "at", "word", "reason"),
    [
        ("data_level0.bin", 0, 5000, "points at elements that are not there"),
        ("data_level0.bin", 1, 4_000_000_000, "points at elements that are not there"),
        ("header.bin", 5, 9_999, "header.bin makes no sense"),
        ("header.bin", 13, 40, "has other levels than header.bin says"),
        ("header.bin", 14, 4_000_000_000, "points at elements that are not there"),
    ],
)
def test_numbers_that_lead_nowhere_are_named(
    built: Path, tmp_path: Path, file: str, at: int, word: int, reason: str
) -> None:
    place = shutil.copytree(built, tmp_path / "index")
    _write(place, file, at, word)
    assert reason in str(damaged(place))
    with pytest.raises(IndexMismatch, match=r"is damaged .* delete the folder and build it again"):
        connect(place)


@pytest.mark.parametrize("file", ["header.bin", "data_level0.bin", "link_lists.bin"])
def test_cut_and_absent_files_are_named(built: Path, tmp_path: Path, file: str) -> None:
    place = shutil.copytree(built, tmp_path / "index")
    path = graph(place) / file
    path.write_bytes(path.read_bytes()[:-40])
    assert file in str(damaged(place))
    if file != "header.bin":  # without it Chroma itself says so
        path.unlink()
        assert file in str(damaged(place))


def test_a_graph_that_is_being_written_gets_time(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = shutil.copytree(built, tmp_path / "index")
    path = graph(place) / "data_level0.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    monkeypatch.setattr(graph_files.time, "sleep", lambda seconds: path.write_bytes(whole))
    assert damaged(place) is None


def test_links_above_the_lowest_level_are_followed(built: Path, tmp_path: Path) -> None:
    place = shutil.copytree(built, tmp_path / "index")
    path = graph(place) / "link_lists.bin"
    words = np.frombuffer(path.read_bytes(), np.uint32)
    first = int(np.flatnonzero(words)[0])
    for at, word in ((first, 3), (first + 1, 60_000), (first + 2, 1_000_000)):
        path.write_bytes(words.tobytes())
        _write(place, "link_lists.bin", at, word)
        assert "link_lists.bin" in str(damaged(place))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["header.bin", "data_level0.bin", "link_lists.bin"]), st.data())
def test_any_bytes_give_an_answer(built: Path, file: str, data: st.DataObject) -> None:
    path = graph(built) / file
    whole = path.read_bytes()
    try:
        path.write_bytes(
            data.draw(st.binary(max_size=400)) + whole[data.draw(st.integers(0, 400)) :]
        )
        assert damaged(built) is None or isinstance(damaged(built), str)
    finally:
        path.write_bytes(whole)


@pytest.mark.slow
def test_what_passes_does_not_end_the_process(built: Path, tmp_path: Path) -> None:
    rng, ended, passed = np.random.default_rng(3), 0, 0
    for trial in range(16):
        place = shutil.copytree(built, tmp_path / str(trial))
        file = ("header.bin", "data_level0.bin", "link_lists.bin")[trial % 3]
        path = graph(place) / file
        content = bytearray(path.read_bytes())
        for at in rng.integers(0, len(content), 1 if file == "header.bin" else 40):
            content[at] = int(rng.integers(256))
        path.write_bytes(bytes(content))
        told = damaged(place)
        done = subprocess.run(
            [sys.executable, "-c", SEARCH, str(place)], check=False, capture_output=True
        )
        ended += done.returncode < 0
        passed += told is None
        assert told is not None or done.returncode >= 0, (file, trial)
    assert ended and passed, "the damage is such that it ends processes, and some is harmless"
