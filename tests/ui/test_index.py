"""`overread index` with the bundled embedder."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from overread.imaging.phantoms import sample, write_manifest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    return write_manifest(sample("train", 6, 5, ("chest-xray", "fundus")), folder)


def test_build_search_and_stats(run: Run, manifest: Path, chest: Path) -> None:
    none_yet = run("index", "stats")
    assert none_yet.returncode == 2
    assert "overread index build" in none_yet.stderr

    with manifest.open("a") as file:
        file.write(json.dumps({"path": "absent.png"}) + "\n")
    built = run("index", "build", manifest)
    assert built.returncode == 0, built.stderr
    assert "6 images: 6 added, 0 were there, 1 files left out" in built.stdout
    assert "absent.png" in built.stderr
    again = json.loads(run("index", "build", manifest, "--json").stdout)
    assert (again["added"], again["already"]) == (0, 6)

    stats = json.loads(run("index", "stats", "--json").stdout)
    assert stats["images"] == 6
    assert stats["by_domain"] == {"chest-xray": 3, "fundus": 3}

    words = ("index", "search", "fundus photograph", "-k", "2", "--domain", "fundus", "--json")
    hits = json.loads(run(*words).stdout)
    assert [hit["domain"] for hit in hits] == ["fundus", "fundus"]
    assert hits[0]["score"] >= hits[1]["score"]
    by_image = json.loads(run("index", "search", chest, "-k", "3", "--json").stdout)
    assert len(by_image) == 3
    assert "score" in run("index", "search", chest, "-k", "1").stdout
