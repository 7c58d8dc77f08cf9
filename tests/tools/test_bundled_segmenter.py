"""The bundled segmenter on phantoms and real pictures it has never seen."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import file_hash
from overread.imaging.phantoms import DOMAINS, sample
from overread.imaging.study import Image, ImageRef
from overread.imaging.vocabulary import TARGETS
from overread.tools.bundled_segmenter import CLICKS, ERRORS, WEIGHTS, BundledSegmenter
from overread.tools.geometry import centroid, largest_region
from overread.tools.segmenter import Segmenter
from tests.tools.conftest import image_of

REF = ImageRef("st", "s0", "i0")


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2 * float((mask & truth).sum()) / max(int(mask.sum() + truth.sum()), 1)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return BundledSegmenter()


@pytest.fixture(scope="module")
def phantoms() -> list:
    return list(sample("test", 56, seed=4))


def noise(rows: int, columns: int, colour: bool = False) -> Image:
    rng = np.random.default_rng(0)
    if colour:
        return Image(REF, rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8), "OP")
    return Image(REF, rng.normal(0, 100, (rows, columns)).astype(np.float32), "CT")


def test_organs_are_outlined_on_unseen_patients_and_scanners(
    segmenter: Segmenter, phantoms: list
) -> None:
    scores = [
        dice(segmenter.segment(image_of(phantom), name).mask, phantom.masks[name])
        for phantom in phantoms
        for name in DOMAINS[phantom.domain][0]
        if name != "optic cup"
    ]
    assert np.mean(scores) > 0.85


def test_findings_are_told_from_their_absence(segmenter: Segmenter, phantoms: list) -> None:
    said: dict[bool, list[bool]] = {True: [], False: []}
    for phantom in phantoms:
        for name in DOMAINS[phantom.domain][1]:
            if name in TARGETS:
                told = segmenter.segment(image_of(phantom), name)
                said[name in phantom.masks].append(told.found)
                assert told.mask.any() == told.found
                assert 0.0 <= told.confidence <= 1.0
    balanced_accuracy = (np.mean(said[True]) + 1 - np.mean(said[False])) / 2
    assert balanced_accuracy > 0.85


def test_a_click_and_a_box_choose_an_object_without_its_name(
    segmenter: Segmenter, phantoms: list
) -> None:
    by_click, by_box = [], []
    for phantom in phantoms:
        for name in ("heart", "lesion", "liver", "cyst", "mass"):
            if name not in phantom.masks:
                continue
            region = largest_region(phantom.masks[name])
            row, column = (round(value) for value in centroid(region))
            if not region[row, column]:
                continue
            image = image_of(phantom)
            told = segmenter.segment(image, points=[(column, row, True)])
            by_click.append(dice(told.mask, region))
            rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
            box = (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
            by_box.append(dice(segmenter.segment(image, box=box).mask, region))
    assert np.mean(by_click) > 0.6 and np.mean(by_box) > 0.6


def test_lungs_are_the_union_of_both(segmenter: Segmenter, phantoms: list) -> None:
    image = image_of(next(p for p in phantoms if p.domain == "chest-xray"))
    both = segmenter.segment(image, "lungs").mask
    left, right = (segmenter.segment(image, f"{side} lung").mask for side in ("left", "right"))
    assert np.array_equal(both, left | right)


@pytest.mark.parametrize(
    ("rows", "columns", "colour"), [(64, 64, False), (300, 1100, True), (33, 7, False)]
)
def test_any_size_comes_back_at_full_resolution(
    segmenter: Segmenter, rows: int, columns: int, colour: bool
) -> None:
    told = segmenter.segment(noise(rows, columns, colour), "retina" if colour else "heart")
    assert told.mask.shape == told.probability.shape == (rows, columns)
    assert told.probability.dtype == np.float32
    assert told.probability.min() >= 0 and told.probability.max() <= 1


def test_a_blank_picture_holds_nothing(segmenter: Segmenter) -> None:
    blank = Image(REF, np.zeros((256, 256), np.float32))
    found = [name for name in TARGETS if segmenter.segment(blank, name).found]
    assert found == []


@pytest.mark.parametrize("name", ["heart", None])
@pytest.mark.parametrize(
    ("prompts", "message"),
    [({"points": [(900, 900, True)]}, "is outside"), ({"box": (50, 50, 10, 10)}, "inside out")],
)
def test_prompts_are_checked_on_a_blank_picture_too(
    segmenter: Segmenter, name: str | None, prompts: dict[str, object], message: str
) -> None:
    blank = Image(REF, np.full((200, 200), 77, np.float32))
    with pytest.raises(InputError, match=message):
        segmenter.segment(blank, name, **prompts)


@pytest.mark.parametrize(
    ("modality", "name", "kinds"),
    [
        ("MR", "nuclei", "histology"),
        ("CT", "lesion", "MRI"),
        ("MR", "lungs", "X-ray and CT"),
        ("SM", "heart", "X-ray and CT"),
        ("US", "hemorrhage", "fundus photograph"),
    ],
)
def test_what_is_known_in_other_kinds_of_image_alone_is_refused(
    segmenter: Segmenter, modality: str, name: str, kinds: str
) -> None:
    image = Image(REF, noise(64, 64).pixels, modality)
    with pytest.raises(InputError, match=f"{name} in {kinds} alone, and this image is {modality}"):
        segmenter.segment(image, name)
    assert segmenter.segment(image, name, points=[(30, 30, True)]).mask.shape == (64, 64)


@pytest.mark.parametrize("modality", ["OT", "XC", "PHOTO", "SM", "GM"])
def test_where_the_file_does_not_say_otherwise_names_are_looked_for(
    segmenter: Segmenter, modality: str
) -> None:
    segmenter.segment(Image(REF, noise(64, 64).pixels, modality), "nuclei")


def test_equal_calls_give_equal_masks_whatever_was_asked_between(segmenter: Segmenter) -> None:
    image = noise(128, 128)
    first = segmenter.segment(image, "heart").probability
    for other in range(6):
        segmenter.segment(noise(64 + other, 64), "liver")
    assert np.array_equal(first, segmenter.segment(image, "heart").probability)


def test_the_display_window_matters_and_is_not_mixed_up(segmenter: Segmenter) -> None:
    pixels = noise(128, 128).pixels
    wide = Image(REF, pixels, "CT", window=(0.0, 2000.0))
    narrow = Image(REF, pixels, "CT", window=(0.0, 50.0))
    first = segmenter.segment(wide, "heart").probability
    assert not np.array_equal(first, segmenter.segment(narrow, "heart").probability)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "name a target"),
        ({"target": "femur"}, "not something this segmenter knows"),
        ({"points": [(64, 0, True)]}, r"point \(64, 0\) is outside the image"),
        ({"points": [(-1, 0, True)]}, "outside the image"),
        ({"box": (10, 10, 5, 20)}, "inside out"),
        ({"box": (0, 0, 64, 5)}, "box corner"),
        ({"scribble": np.zeros((3, 3), bool)}, "scribble has shape"),
        ({"previous": np.zeros((64, 63), bool)}, "previous mask has shape"),
    ],
)
def test_bad_prompts_are_refused(
    segmenter: Segmenter, prompts: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        segmenter.segment(noise(64, 64), **prompts)


def test_files_that_are_not_our_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reinstall overread"):
        BundledSegmenter(tmp_path / "none.safetensors")
    text = tmp_path / "text.safetensors"
    text.write_text("not safetensors")
    with pytest.raises(ConfigError, match="not a safetensors file"):
        BundledSegmenter(text)
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    with pytest.raises(ConfigError, match="not a weights file of this segmenter"):
        BundledSegmenter(other)


def test_weights_are_small_and_their_card_gives_their_hash() -> None:
    assert WEIGHTS.stat().st_size + CLICKS.stat().st_size < 8e6
    card = WEIGHTS.with_name("README.md").read_text()
    assert file_hash(WEIGHTS) in card and file_hash(CLICKS) in card
    assert "Not fit for clinical use" in card


def test_the_usual_errors_were_measured_with_these_weights(
    segmenter: Segmenter, phantoms: list
) -> None:
    assert json.loads(ERRORS.read_text())["segmenter"] == file_hash(WEIGHTS)
    image = image_of(next(p for p in phantoms if p.domain == "chest-xray"))
    both, *each = (
        segmenter.segment(image, name).errors for name in ("lungs", "left lung", "right lung")
    )
    assert 0 < both["length"] == max(one["length"] for one in each) < 0.1
    assert set(segmenter.segment(image, "heart").errors) == {"length", "area"}
    assert segmenter.segment(image, points=[(99, 99, True)]).errors == {}


def test_nuclei_of_real_microscopy(segmenter: Segmenter, shared_data: Path) -> None:
    scores = []
    for line in (shared_data / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "nuclei" in entry["labels"] and entry["masks"] and entry["split"] == "dev":
            pixels = np.asarray(PIL.Image.open(shared_data / entry["image"]).convert("RGB"))
            truth = np.asarray(PIL.Image.open(shared_data / entry["masks"][0])) > 0
            told = segmenter.segment(Image(REF, pixels, "SM"), "nuclei")
            scores.append(dice(told.mask, truth))
    # A low bar on purpose: the card says how poor it is on pictures unlike its phantoms.
    assert np.mean(scores) > 0.5
