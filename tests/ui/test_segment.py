"""`overread segment` on volumes, and where it writes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from overread.ui.names import file_name

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume of nine slices."""
    voxels = np.random.default_rng(0).normal(100, 30, (48, 40, 9)).astype(np.float32)
    path = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


def test_of_a_volume_one_slice_is_looked_at_and_it_is_said(run: Run, volume: Path) -> None:
    done = run("segment", volume, "brain")
    assert done.returncode == 0, done.stderr
    assert "slice 5 of 9 alone; --slice chooses another" in done.stdout
    assert "confidence: probability that it is there, calibrated on phantoms" in done.stdout


def test_another_slice_is_chosen(run: Run, volume: Path) -> None:
    told = {}
    for number in (1, 9):
        done = run("segment", volume, "brain", "--slice", number, "--json")
        told[number] = json.loads(done.stdout)
        assert (told[number]["slice"], told[number]["slices"]) == (number, 9)
    assert told[1]["image"] != told[9]["image"]
    done = run("segment", volume, "brain", "--slice", 10)
    assert done.returncode == 2 and "there is no slice 10: volume.nii.gz has 9" in done.stderr


def test_a_single_image_is_no_slice(run: Run, chest: Path) -> None:
    done = run("segment", chest, "heart")
    assert "slice" not in done.stdout and "expected Dice of the mask: 0." in done.stdout


@pytest.mark.parametrize("target", ["../../../evil", "pacemaker/wire", "a: b; c [/]"])
def test_no_name_leads_out_of_the_folder(
    run: Run, chest: Path, tmp_path: Path, target: str
) -> None:
    folder = tmp_path / "a" / "b" / "out"
    before = set(tmp_path.rglob("*"))
    done = run(
        "segment", chest, target, "--point", "150,150", "--out", folder, "--json",
        OVERREAD_SEGMENTER__WORDS="saliency",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = [Path(name) for name in json.loads(done.stdout)["files"]]
    assert sorted(files) == sorted(folder.iterdir()) and len(files) == 3
    assert [file.name.split("-")[0] for file in files] == ["overlay", "mask", "uncertainty"]
    made = {p for p in set(tmp_path.rglob("*")) - before if p.is_file()}
    assert {p for p in made if p.suffix == ".png" and "-of-" in p.name} == set(files)


def test_names_of_files_are_short_plain_and_different() -> None:
    asked = [
        "mask of left lung", "mask of left/lung", "mask of left-lung", "mask of left:lung", "../../x", "..",
        "mask of " + 40 * "漢字", "mask of " + 41 * "漢字", "mask of a\0b", "mask of a\nb", "C:\\x",
    ]  # fmt: skip
    names = [file_name(words, ".png") for words in asked]
    assert len(set(names)) == len(names) - 1, "a hyphen stands for a space"
    assert all(Path(name).name == name and not name.startswith(".") for name in names)
    assert all(len(name.encode()) < 255 and not set(name) & set("/\\:;\0\n") for name in names)
