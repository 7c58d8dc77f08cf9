"""Distances of sets of image files, as the command prints them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from overread.evals import set_distance
from overread.evals.set_distance import images_in
from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate

NUMBER = 8
Told = dict[str, dict[str, dict[str, float]]]


def folder(place: Path, noise: float = 0.0, first: int = 0) -> Path:
    """Write radiographs, with noise of a deviation in grey levels."""
    place.mkdir()
    rng = np.random.default_rng(1)
    for patient in range(first, first + NUMBER):
        pixels = generate("chest-xray", patient, size=128).pixels
        noisy = np.clip(pixels + rng.normal(0, noise, pixels.shape) if noise else pixels, 0, 255)
        PIL.Image.fromarray(noisy.astype(np.uint8)).save(place / f"{patient:03}.png")
    return place


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["set_distance", *map(str, arguments), "--json"])
        assert set_distance.main() == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_the_distance_grows_with_the_noise_and_is_nil_to_itself(
    measure: Callable[..., Told], tmp_path: Path
) -> None:
    clean = folder(tmp_path / "clean")
    told = [
        measure(clean, other)["distances"]
        for other in (clean, folder(tmp_path / "some", 6), folder(tmp_path / "much", 40))
    ]
    for kind in ("radiomic", "embedding"):
        same, some, much = (item[kind]["between"]["squared"] for item in told)  # type: ignore[index]
        assert same == pytest.approx(0, abs=1e-6)
        assert 1e-3 < some < much
    within = told[0]["radiomic"]["within"]["squared"]  # type: ignore[index]
    assert within > 0


def test_the_table_warns_of_few_images_and_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one, other = folder(tmp_path / "one"), folder(tmp_path / "other", first=50)
    monkeypatch.setattr(sys, "argv", ["set_distance", str(one), str(other), "--limit", "4"])
    assert set_distance.main() == 0
    said = capsys.readouterr()
    assert "4 and 4 images" in said.out and "radiomic" in said.out
    assert "distances are rough" in said.err


def test_unusable_folders_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        list(images_in(tmp_path / "nowhere"))
    monkeypatch.setattr(sys, "argv", ["set_distance", str(tmp_path), str(tmp_path)])
    assert set_distance.main() == 2
    assert capsys.readouterr().err.count("\n") == 1
