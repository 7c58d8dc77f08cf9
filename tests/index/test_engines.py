"""Every engine ends in the same state, also after being killed."""

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from rich.console import Console

from overread.evals.bench.killed_ingestion import archived, compare
from overread.imaging.archive import Archive
from overread.imaging.phantoms import sample, write_manifest
from overread.imaging.phantoms.many import write_many
from overread.imaging.pseudonym import Pseudonymiser
from overread.index.digest import digest_of
from overread.index.embedder import Embedder
from overread.index.ingest import Plan, build_index
from overread.index.sentences import SentenceEmbedder
from overread.index.store import CaseIndex
from overread.index.towers import Towers
from tests.index.test_ingest import Place, pictures


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More rows than are worked on in one process alone; one file is broken."""
    manifest = pictures(tmp_path_factory.mktemp("source") / "in", 100)
    (manifest.parent / "042.png").write_bytes(b"broken")
    return manifest


def filled(root: Path, tiny: Embedder, manifest: Path, plan: Plan) -> Place:
    """Fill an index by a plan; all share one secret."""
    place = Place(root, tiny)
    place.pseudonymiser = Pseudonymiser(manifest.parent.parent / "secret")
    summary = build_index(manifest, place.index, place.archive, place.pseudonymiser, plan=plan)
    assert (summary.images, summary.added, len(summary.quarantined)) == (99, 99, 1)
    return place


def test_phantoms_are_the_same_from_many_processes(tmp_path: Path) -> None:
    alone = write_manifest(sample("train", 5, 3), tmp_path / "alone")
    assert list(write_many("train", 5, 3, tmp_path / "many", workers=2))[-1] == 5
    assert (tmp_path / "many" / "manifest.jsonl").read_bytes() == alone.read_bytes()
    for file in alone.parent.iterdir():
        assert (tmp_path / "many" / file.name).read_bytes() == file.read_bytes()


def test_processes_are_told_which_modules_the_embedders_are_from(tiny: Embedder) -> None:
    assert Towers(tiny, {"fundus": tiny}).modules == ["overread.index.open_clip_embedder"]
    by_sentences = Towers(tiny, passages=SentenceEmbedder()).modules
    assert by_sentences == ["overread.index.open_clip_embedder", "overread.index.sentences"]


@pytest.mark.slow
def test_processes_end_in_the_same_state(tiny: Embedder, manifest: Path, tmp_path: Path) -> None:
    here = filled(tmp_path / "here", tiny, manifest, Plan(workers=1))
    processes = filled(tmp_path / "processes", tiny, manifest, Plan(workers=2))
    assert digest_of(processes.index) == digest_of(here.index)
    assert [s.id for s in processes.archive.studies()] == [s.id for s in here.archive.studies()]


@pytest.mark.slow
def test_ray_ends_in_the_same_state(tiny: Embedder, manifest: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    here = filled(tmp_path / "here", tiny, manifest, Plan(workers=1))
    on_ray = filled(tmp_path / "ray", tiny, manifest, Plan("ray", workers=2))
    assert digest_of(on_ray.index) == digest_of(here.index)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    words = ["run", "--host", "127.0.0.1", "--port", str(port), "--path", str(tmp_path / "server")]
    process = subprocess.Popen([str(Path(sys.executable).with_name("chroma")), *words])
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urlopen(f"{url}/api/v2/heartbeat", timeout=1)
            break
        except (URLError, OSError):
            time.sleep(0.5)
    yield url
    process.terminate()
    process.wait(30)


@pytest.mark.slow
def test_server_ends_in_the_same_state(
    server: str, tiny: Embedder, manifest: Path, tmp_path: Path
) -> None:
    here = filled(tmp_path / "here", tiny, manifest, Plan())
    remote = CaseIndex.open(server, tiny, create=True)
    archive, secret = Archive(tmp_path / "there"), here.pseudonymiser
    notes = tmp_path / "notes"
    first = build_index(manifest, remote, archive, secret, notes=notes)
    assert (first.added, digest_of(remote)) == (99, digest_of(here.index))
    again = build_index(manifest, remote, archive, secret, notes=notes)
    assert (again.added, again.already) == (0, 99)
    without_notes = build_index(manifest, remote, archive, secret)
    assert (without_notes.added, without_notes.already) == (0, 99)
    assert digest_of(remote) == digest_of(here.index)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_builds_end_in_the_undisturbed_state(tmp_path: Path) -> None:
    phantoms = tmp_path / "phantoms"
    for _ in write_many("train", 66, 1, phantoms):
        pass
    seed = random.Random(0).randrange(1000)
    console = Console(quiet=True)
    assert compare(phantoms / "manifest.jsonl", tmp_path, 2, seed, 2, console)


CHILD = """
import sys
from pathlib import Path
from overread.imaging.pseudonym import Pseudonymiser
from overread.index.embedder import load_embedder
from overread.index.ingest import Plan, build_index
from tests.index.test_ingest import Place

if __name__ == "__main__":
    root, source, embedder = sys.argv[1:]
    place = Place(Path(root), load_embedder(embedder))
    plan = Plan(workers=2)
    build_index(Path(source), place.index, place.archive, place.pseudonymiser, plan=plan)
"""


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(
    open_clip_folder: Path, manifest: Path, tmp_path: Path
) -> None:
    import psutil

    command = [
        sys.executable,
        "-c",
        CHILD,
        str(tmp_path / "d"),
        str(manifest),
        str(open_clip_folder),
    ]
    process = subprocess.Popen(command)
    below: list[psutil.Process] = []
    while len(below) < 3 and process.poll() is None:  # the two workers and what they fork from
        below = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert psutil.wait_procs(below, timeout=300)[1] == []
    assert archived(tmp_path / "d") <= 100
