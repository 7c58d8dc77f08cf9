from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pydantic import ValidationError

from overread.imaging.errors import InputError
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import generate
from overread.imaging.render import for_planner
from overread.training.examples import (
    Example,
    FileRef,
    Pair,
    PhantomRef,
    missing_images,
    open_image,
    read_lines,
    write_lines,
)

PICTURE = {"type": "image"}


def example(**fields: Any) -> Example:
    words = [PICTURE, {"type": "text", "text": "Question: What is it?"}]
    told: dict[str, Any] = {
        "id": "x1", "dataset": "set", "task": "open", "patient": "p1", "split": "train",
        "messages": [{"role": "user", "content": words}, {"role": "assistant", "content": "A."}],
        "images": [PhantomRef(domain="fundus", patient=3)],
    }  # fmt: skip
    return Example(**(told | fields))


def pair(**fields: Any) -> Pair:
    words = [PICTURE, {"type": "text", "text": "Question: What is it?"}]
    told: dict[str, Any] = {
        "id": "x1", "dataset": "set", "kind": "look", "patient": "p1", "split": "train",
        "messages": [{"role": "user", "content": words}], "chosen": "A.", "rejected": "B.",
        "images": [FileRef(path=Path("a.png"))],
    }  # fmt: skip
    return Pair(**(told | fields))


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    examples = [example(), example(id="x2", images=[FileRef(path=Path("a.png"))], learn=[True])]
    assert write_lines(tmp_path / "e.jsonl", examples) == 2
    assert list(read_lines(tmp_path / "e.jsonl", Example)) == examples
    pairs = [pair(), pair(rejected_images=[PhantomRef(domain="fundus", patient=1)])]
    write_lines(tmp_path / "p.jsonl", pairs)
    assert list(read_lines(tmp_path / "p.jsonl", Pair)) == pairs


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: Invalid JSON"),
        (example(images=[]).model_dump_json(), "shows 1 images in its messages, but names 0"),
        (example().model_dump_json().replace("fundus", "x").replace("visit", "turn"), "turn"),
        (example().model_dump_json().replace('"train"', '"exam"'), "split"),
    ],
)
def test_a_wrong_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(example().model_dump_json() + "\n" + line + "\n")
    with pytest.raises(InputError, match=r"e\.jsonl, line 2") as caught:
        list(read_lines(file, Example))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_learn_has_a_mark_for_each_reply() -> None:
    with pytest.raises(ValidationError, match="2 marks for 1"):
        example(learn=[True, False])


def test_a_phantom_looks_as_the_planner_sees_it() -> None:
    seen = open_image(PhantomRef(domain="chest-ct", patient=4, visit=1))
    drawn = for_planner(phantom_image(generate("chest-ct", 4, 1)), 224)
    assert np.array_equal(np.asarray(seen), np.asarray(drawn))


def test_a_file_is_shown_whole_with_black_beside_it(tmp_path: Path) -> None:
    PILImage.new("RGB", (100, 50), (200, 10, 30)).save(tmp_path / "a.png")
    seen = np.asarray(open_image(FileRef(path=tmp_path / "a.png"), size=64))
    assert seen.shape == (64, 64, 3)
    assert tuple(seen[32, 32]) == (200, 10, 30)
    assert seen[:16].max() == 0 == seen[48:].max()


def test_missing_files_are_listed_once(tmp_path: Path) -> None:
    there, gone = tmp_path / "a.png", tmp_path / "b.png"
    there.touch()
    lines = [
        example(images=[FileRef(path=there)]),
        example(images=[FileRef(path=gone)]),
        pair(images=[FileRef(path=there)], rejected_images=[FileRef(path=gone)]),
    ]
    assert missing_images(lines) == [gone]
