"""The table of segmenters: prompts, classical methods and rows, on phantoms."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from rich.progress import Progress

from overread.evals.bench.classical import classical
from overread.evals.bench.click_prompts import ORDER, clicks_on
from overread.evals.bench.segmenter_cases import phantom_cases, real_cases
from overread.evals.bench.segmenter_table import BOX, STEPS, measure, summary
from overread.evals.metrics.segmentation import dice
from overread.imaging.phantoms import split_of
from overread.imaging.study import Image, ImageRef

ROWS, COLUMNS = 300, 400


def disc(radius: int) -> np.ndarray:
    down, across = np.ogrid[:ROWS, :COLUMNS]
    return (down - 160) ** 2 + (across - 220) ** 2 <= radius**2


@pytest.mark.parametrize("radius", [3, 10, 60])
def test_clicks_are_inside_and_outside_as_they_say(radius: int) -> None:
    mask = disc(radius)
    clicks = clicks_on(mask, seed=0)
    assert tuple(inside for _, _, inside in clicks) == ORDER
    for x, y, inside in clicks:
        assert mask[y, x] == inside
        assert np.hypot(x - 220, y - 160) < 2 * radius + 8
    assert abs(clicks[0][0] - 220) <= 1 and abs(clicks[0][1] - 160) <= 1
    assert clicks == clicks_on(mask, seed=0) != clicks_on(mask, seed=1)


def test_an_object_without_an_outside_gets_inner_clicks() -> None:
    assert all(inside for _, _, inside in clicks_on(np.ones((20, 30), bool), seed=0))


@pytest.mark.parametrize("name", list(classical()))
def test_classical_methods_find_a_bright_disc(name: str) -> None:
    """With edges this clear all clicks and a box lead to it; a mask has the image's own size."""
    truth, run = disc(60), classical()[name]
    rng = np.random.default_rng(0)
    pixels = (rng.normal(0, 4, truth.shape) + np.where(truth, 190, 60)).astype(np.float32)
    image = Image(ImageRef("st", "s0", "i0"), pixels, "MR", None, (128.0, 256.0))
    clicks = clicks_on(truth, seed=0)
    box = (160, 100, 280, 220)
    assert dice(run(image, clicks, None), truth) > 0.9
    assert dice(run(image, (), box), truth) > 0.9


def test_cases_are_of_test_patients_and_rows_are_complete() -> None:
    cases = list(phantom_cases(2))
    assert {split_of(case.cluster) for case in cases} == {"test"}
    with Progress(disable=True) as progress:
        rows = measure(cases[:2], ["bundled"], progress)
    told = {(row.name, row.method, row.clicks) for row in rows}
    assert len(told) == len(rows)
    for case in cases[:2]:
        for name in ("bundled network", *classical()):
            assert {(case.name, name, step) for step in (*STEPS, BOX)} <= told
    assert all(0 <= row.dice <= 1 and row.ms > 0 for row in rows)
    text = summary(rows)
    assert "| phantoms, all (2) | bundled network |" in text
    assert "| random walker | phantoms, all |" in text


def test_real_pictures_give_instances_and_whole_masks(tmp_path: Path) -> None:
    labels = np.zeros((40, 50), np.uint16)
    labels[2:12, 2:12], labels[20:35, 20:45], labels[0, 49] = 1, 2, 3
    PIL.Image.fromarray(labels).save(tmp_path / "labels.png")
    PIL.Image.fromarray((labels > 0).astype(np.uint8) * 255).save(tmp_path / "mask.png")
    for name in "abc":
        PIL.Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / f"{name}.png")
    entries = [
        {"masks": ["labels.png"], "mask_type": "instances (0 background)", "patient_id": None},
        {"masks": ["mask.png"], "mask_type": "binary", "patient_id": "p1"},
        {"masks": [], "patient_id": None},
    ]
    common = {"source": "here", "modality": "SM", "patient_id": None}
    lines = [
        json.dumps(common | entry | {"image": f"{name}.png"})
        for name, entry in zip("abc", entries, strict=True)
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    instance, whole = real_cases(tmp_path)
    assert (instance.group, instance.cluster) == ("real, here", "a.png")
    assert instance.truth.sum() in (100, 375)  # one of the two that are large enough
    assert instance.name != whole.name
    assert whole.cluster == "p1" and np.array_equal(whole.truth, labels == 2)
