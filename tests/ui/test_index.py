"""`overread index` with the bundled embedder."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as PILImage

from overread.imaging.errors import InputError
from overread.imaging.phantoms import sample, write_manifest
from overread.ui.commands.index import number_range

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


def test_filters_words_tuning_and_domain(
    run: Run, manifest: Path, chest: Path, tmp_path: Path
) -> None:
    assert run("index", "build", manifest, "--json").returncode == 0
    some = json.loads(run("index", "search", "eye", "--modality", "op", "-k", "9", "--json").stdout)
    assert len(some) == 3 and {hit["modality"] for hit in some} == {"OP"}
    none = run("index", "search", chest, "--sex", "O", "--age", "200-")
    assert none.returncode == 0
    assert "no case passes the filter" in none.stderr and none.stdout == ""
    absent = run("index", "search", "mass", "--domain", "histology", "--diverse")
    assert "the index has no case of histology; it has chest-xray, fundus" in absent.stderr
    both = ("index", "search", chest, "--words", "effusion", "-k", "2", "--diverse", "--json")
    hits = json.loads(run(*both).stdout)
    assert len(hits) == 2 and {hit["domain"] for hit in hits} == {"chest-xray"}
    assert "image" in hits[0]["ranks"]
    refused = run("index", "search", "mass", "--age", "60-40")
    assert refused.returncode == 2
    assert "the age filter ends at 40" in refused.stderr and "Traceback" not in refused.stderr
    tuned = json.loads(run("index", "tune", "--json").stdout)
    assert tuned["tuned"] == []
    assert "chest-xray has 3 patients with labelled cases" in tuned["left_out"][0]
    told = json.loads(run("index", "domain", chest, "--json").stdout)
    assert (told["domain"], told["by"]) == ("chest-xray", "header")
    flat = tmp_path / "flat.png"
    PILImage.new("RGB", (200, 200), (40, 90, 160)).save(flat)
    assert "unknown, told by the head" in run("index", "domain", flat).stdout


@pytest.mark.parametrize(
    ("text", "ends"),
    [("40-60", (40, 60)), ("40-", (40, None)), ("-60", (None, 60)), ("50", (50, 50)), (None, None)],
)
def test_ranges_are_read(text: str | None, ends: tuple[int | None, int | None] | None) -> None:
    assert number_range("--age", text) == ends


@pytest.mark.parametrize("text", ["old", "40-60-80", "-", "", "4.5-"])
def test_ranges_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--age takes numbers such as 40-60"):
        number_range("--age", text)


def test_what_was_found_is_explained(run: Run, manifest: Path, chest: Path, tmp_path: Path) -> None:
    assert run("index", "build", manifest, "--json").returncode == 0
    done = run("index", "search", chest, "-k", "2", "--explain", tmp_path / "why")
    assert done.returncode == 0, done.stderr
    pictures = sorted((tmp_path / "why").iterdir())
    assert len(pictures) == 2 and pictures[0].name.startswith("01-ph-chest-xray")
    with PILImage.open(pictures[0]) as sheet:
        assert sheet.width > 3 * 384
    words = run("index", "search", "effusion", "--explain", tmp_path / "why")
    assert words.returncode == 2 and "needs an image" in words.stderr
    taken = tmp_path / "taken"
    taken.write_text("")
    refused = run("index", "search", chest, "--explain", taken)
    assert refused.returncode == 2 and "cannot be made" in refused.stderr
