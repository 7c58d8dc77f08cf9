"""Pictures: windows, aspect, overlays, sheets."""

import base64
import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from overread.imaging import render
from overread.imaging.study import Image, ImageRef

REF = ImageRef("st-1", "s0", "i0")


def _image(pixels: np.ndarray, **options: object) -> Image:
    return Image(REF, pixels.astype(np.float32), **options)


def test_window_is_the_linear_one_of_the_standard() -> None:
    """PS3.3 C.11.2.1.2.1 with centre 40 and width 400: black at -160, white at 239."""
    image = _image(np.array([[-1000, -160, 39.5, 239, 3000]]), window=(40.0, 400.0))
    assert render.to_view(image)[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_given_window_wins_and_ct_has_a_default() -> None:
    pixels = np.array([[-160.0, 39.5, 239.0]])
    assert render.to_view(_image(pixels, modality="CT"))[0, :, 0].tolist() == [0, 128, 255]
    assert render.to_view(_image(pixels), window=(0.0, 1.0))[0, :, 0].tolist() == [0, 255, 255]


def test_outliers_do_not_set_the_range() -> None:
    pixels = np.tile(np.linspace(0, 100, 100), (100, 1))
    pixels[0, 0] = 1e6
    view = render.to_view(_image(pixels))[..., 0]
    assert view[1].max() == 255 and view[1].min() == 0 and 100 < view[1, 50] < 155


@given(arrays(np.float32, (3, 4), elements=st.floats(-1e6, 1e6, width=32)))
def test_any_image_can_be_shown(pixels: np.ndarray) -> None:
    view = render.to_view(_image(pixels))
    assert view.dtype == np.uint8 and view.shape == (3, 4, 3)


def test_flat_image_is_shown() -> None:
    assert np.ptp(render.to_view(_image(np.full((4, 4), 7.0)))) == 0


def test_colour_passes_through() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 3), np.uint8)
    np.testing.assert_array_equal(render.to_view(Image(REF, pixels)), pixels)


@pytest.mark.parametrize(
    ("shape", "spacing", "box"),
    [
        ((100, 200), None, (0, 56, 224, 168)),
        ((200, 100), None, (56, 0, 168, 224)),
        ((100, 100), (2.0, 1.0), (56, 0, 168, 224)),
        ((100, 200), (2.0, 1.0), (0, 0, 224, 224)),
    ],
)
def test_planner_sees_all_with_its_true_aspect(
    shape: tuple[int, int],
    spacing: tuple[float, float] | None,
    box: tuple[int, int, int, int],
) -> None:
    image = _image(np.full(shape, 255.0), window=(128.0, 256.0), spacing_mm=spacing)
    picture = render.for_planner(image)
    assert picture.size == (224, 224) and picture.mode == "RGB"
    assert picture.getbbox() == box


def test_data_url_is_a_png() -> None:
    picture = PIL.Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    kind, data = render.data_url(picture).split(",")
    assert kind == "data:image/png;base64"
    back = PIL.Image.open(io.BytesIO(base64.b64decode(data)))
    np.testing.assert_array_equal(np.asarray(back), np.asarray(picture))


def test_overlay_colours_the_mask_alone_and_outlines_it() -> None:
    mask = np.zeros((600, 600), bool)
    mask[100:300, 200:400] = True
    image = _image(np.full((600, 600), 128.0), window=(128.0, 256.0))
    picture = np.asarray(render.overlay(image, {"heart": mask}, {"heart": (255, 0, 0)}))
    assert picture.shape[0] > 600, "the legend is below, on no pixel of the image"
    assert picture[100, 300].tolist() == [255, 0, 0]
    red, green, blue = (int(v) for v in picture[200, 300])
    assert red > 128 > green == blue > 60, "the image shows through"
    outside = picture[:600][~mask]
    assert (outside == 128).all()


def test_overlay_of_a_small_image_is_enlarged() -> None:
    mask = np.zeros((64, 64), bool)
    mask[10:20, 10:20] = True
    picture = render.overlay(_image(np.zeros((64, 64))), {"nodule": mask})
    assert picture.width == 512


def test_overlay_without_masks_is_the_image() -> None:
    image = _image(np.random.default_rng(0).uniform(0, 255, (512, 512)))
    np.testing.assert_array_equal(np.asarray(render.overlay(image, {})), render.to_view(image))


def test_overlay_refuses_a_mask_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"'heart' has shape \(3, 3\)"):
        render.overlay(_image(np.zeros((4, 4))), {"heart": np.ones((3, 3), bool)})


def test_legend_of_many_names_wraps() -> None:
    masks = {f"structure number {n}": np.ones((600, 600), bool) for n in range(8)}
    few = render.overlay(_image(np.zeros((600, 600))), {"a": masks["structure number 0"]})
    many = render.overlay(_image(np.zeros((600, 600))), masks)
    assert many.width == few.width and many.height > few.height


def test_contact_sheet_has_a_tile_for_each() -> None:
    images = [_image(np.full((10, 10), 255.0), window=(128.0, 256.0)) for _ in range(5)]
    captions = ["a" * n * 30 for n in range(5)]
    sheet = render.contact_sheet(images, captions, columns=3, tile=96)
    white = (np.asarray(sheet) == 255).all(axis=-1).sum()
    assert 5 * 96 * 96 <= white < 5 * 96 * 96 + 2000
    assert sheet.width == 3 * 96 + 4 * 4


def test_contact_sheet_refuses_what_does_not_match() -> None:
    image = _image(np.zeros((4, 4)))
    for images, captions in (([], []), ([image], ["a", "b"])):
        with pytest.raises(ValueError, match="images and"):
            render.contact_sheet(images, captions)
