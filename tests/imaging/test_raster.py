"""PNG, JPEG and TIFF: values, colours, pages, orientation, and what counts as a spacing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.render import to_view
from overread.imaging.study import Image

ReadOne = Callable[[Path], Image]
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def _save(array: np.ndarray, path: Path, **options: object) -> Path:
    PIL.Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_eight_bit_grey_is_kept_and_shown_unchanged(
    suffix: str, tmp_path: Path, read_one: ReadOne
) -> None:
    image = read_one(_save(RAMP, tmp_path / f"a.{suffix}"))
    assert image.pixels.dtype == np.float32 and image.spacing_mm is None
    np.testing.assert_array_equal(image.pixels, RAMP)
    np.testing.assert_array_equal(to_view(image)[..., 0], RAMP)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_not_squeezed(suffix: str, tmp_path: Path, read_one: ReadOne) -> None:
    deep = RAMP.astype(np.uint16) * 257
    image = read_one(_save(deep, tmp_path / f"a.{suffix}"))
    assert image.pixels.dtype == np.float32 and image.window is None
    np.testing.assert_array_equal(image.pixels, deep)


def test_float_tiff_keeps_its_values(tmp_path: Path, read_one: ReadOne) -> None:
    values = (RAMP.astype(np.float32) - 100) * 1.5
    np.testing.assert_array_equal(read_one(_save(values, tmp_path / "a.tif")).pixels, values)


def test_colour_stays_and_equal_channels_become_grey(tmp_path: Path, read_one: ReadOne) -> None:
    grey = np.stack([RAMP] * 3, axis=-1)
    colour = grey.copy()
    colour[3, 4] = 255, 0, 9
    assert not read_one(_save(grey, tmp_path / "grey.png")).is_colour
    image = read_one(_save(colour, tmp_path / "colour.png"))
    assert image.is_colour and image.pixels.dtype == np.uint8
    np.testing.assert_array_equal(image.pixels, colour)


def test_transparent_parts_are_black(tmp_path: Path, read_one: ReadOne) -> None:
    layer = np.full((4, 4, 4), 200, np.uint8)
    layer[..., 3] = 255
    layer[0, 0, 3] = 0
    image = read_one(_save(layer, tmp_path / "a.png"))
    assert float(image.pixels[0, 0]) == 0 and float(image.pixels[1, 1]) == 200


def test_palette_png_is_resolved(tmp_path: Path, read_one: ReadOne) -> None:
    picture = PIL.Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putdata([0, 1])
    picture.save(tmp_path / "a.png")
    assert read_one(tmp_path / "a.png").pixels.tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_exif_orientation_is_applied(tmp_path: Path, read_one: ReadOne) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # rotate 90 degrees clockwise to view
    path = _save(np.tile(np.uint8([0, 255]).repeat(8), (8, 1)), tmp_path / "a.jpg", exif=exif)
    image = read_one(path)
    assert image.shape == (16, 8)
    assert image.pixels[:8].mean() < 10 and image.pixels[8:].mean() > 245


def test_pages_of_a_tiff_are_frames(tmp_path: Path, pseudonymiser: Pseudonymiser) -> None:
    pages = [PIL.Image.fromarray(np.full((5, 6), value, np.uint8)) for value in (1, 2, 3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    (study,) = read_studies([tmp_path / "a.tif"], pseudonymiser)
    assert [(i.ref.frame, float(i.pixels[0, 0])) for i in study.images] == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dpi": (300, 300)}, None),
        ({"resolution_unit": "cm", "x_resolution": 100, "y_resolution": 50}, (0.2, 0.1)),
        (
            {
                "x_resolution": 4,
                "y_resolution": 2,
                "description": "ImageJ=1.53t\nunit=micron\nmin=0",
            },
            (0.0005, 0.00025),
        ),
        ({"x_resolution": 4, "y_resolution": 2, "description": "ImageJ=1.53t\nunit=inch"}, None),
        ({}, None),
    ],
)
def test_only_a_physical_resolution_is_a_spacing(
    options: dict[str, object],
    expected: tuple[float, float] | None,
    tmp_path: Path,
    read_one: ReadOne,
) -> None:
    spacing = read_one(_save(RAMP, tmp_path / "a.tif", **options)).spacing_mm
    assert spacing is None if expected is None else spacing == pytest.approx(expected)


def test_png_dpi_is_no_spacing(tmp_path: Path, read_one: ReadOne) -> None:
    assert read_one(_save(RAMP, tmp_path / "a.png", dpi=(300, 300))).spacing_mm is None


def test_content_names_the_study_and_the_suffix_does_not_matter(
    tmp_path: Path, pseudonymiser: Pseudonymiser
) -> None:
    first = _save(RAMP, tmp_path / "a.png")
    copy = tmp_path / "b.jpg"
    copy.write_bytes(first.read_bytes())
    other = _save(RAMP[::-1], tmp_path / "c.png")
    studies = read_studies([first, copy, other], pseudonymiser)
    assert len({study.id for study in studies}) == len(studies) == 2


def test_real_radiographs_are_grey(shared_data: Path, pseudonymiser: Pseudonymiser) -> None:
    paths = sorted((shared_data / "images" / "hannover_cxr").glob("*.png"))[:5]
    studies = read_studies(paths, pseudonymiser)
    assert [study.images[0].is_colour for study in studies] == [False] * 5
