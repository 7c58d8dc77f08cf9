"""Made-up pictures are marked where they are seen and where they are stored."""

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.synthetic import KEY, marked, to_png

GREY = PIL.Image.new("L", (300, 220), 90)


@pytest.mark.parametrize("size", [(64, 64), (300, 220), (1024, 768)])
def test_the_mark_is_on_the_pixels_everywhere(size: tuple[int, int]) -> None:
    plain = np.asarray(GREY.resize(size).convert("RGB")).astype(int)
    shown = np.asarray(marked(GREY.resize(size))).astype(int)
    assert shown.shape == plain.shape
    changed = np.abs(shown - plain).max(axis=-1) > 20
    stripe = round(0.04 * size[1])
    assert changed[:stripe].all() and changed[-stripe:].all()
    quarter = size[1] // 4
    assert changed[quarter:-quarter].sum() > 20  # and across the middle


def test_the_file_says_how_it_was_made_and_the_reader_knows_it_again(tmp_path: Path) -> None:
    file = tmp_path / "made.png"
    file.write_bytes(to_png(GREY, {"engine": "x", "seed": 3}))
    with PIL.Image.open(file) as picture:
        assert json.loads(picture.info[KEY]) == {"engine": "x", "seed": 3}
    (study,) = read_studies([file], Pseudonymiser(tmp_path / "secret"))
    assert study.header["synthetic"] == "YES"
    # Its own words are not carried over: a file may say anything.
    assert "engine" not in json.dumps(study.header)


def test_a_real_picture_is_not_called_synthetic(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    GREY.save(buffer, "PNG")
    (tmp_path / "real.png").write_bytes(buffer.getvalue())
    (study,) = read_studies([tmp_path / "real.png"], Pseudonymiser(tmp_path / "secret"))
    assert "synthetic" not in study.header
