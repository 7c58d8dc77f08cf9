"""Turn images into pictures: for a screen, for the planner, with overlays, as contact sheets."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

from overread.imaging.study import Image, Mask

PERCENTILES = (0.5, 99.5)
"""Range shown when an image states no window; cuts markers and dead pixels."""

CT_WINDOW = (40.0, 400.0)
"""Soft tissue, in Hounsfield units: for a CT that states no window."""

PALETTE: tuple[tuple[int, int, int], ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0),
)  # fmt: skip
"""Okabe and Ito's colours, told apart by colour-blind readers too."""

_FILL, _HEAT = 0.28, 0.7
_MIN_OVERLAY = 512
_INK, _PAPER, _FRAME = (235, 238, 242), (17, 19, 23), (58, 62, 70)

Colour = tuple[int, int, int]


def to_view(image: Image, window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return an image as it should be seen, at full resolution.

    Args:
        image: Grey or colour.
        window: Centre and width in the units of the pixels; by default the image's own, else
            `CT_WINDOW` for CT, else the range between `PERCENTILES`. Ignored for colour.

    Returns:
        uint8 (rows, columns, 3); MONOCHROME1 is inverted.

    Source: DICOM PS3.3, C.11.2.1.2.1 (linear window).
    """
    if image.is_colour:
        return np.ascontiguousarray(image.pixels, dtype=np.uint8)
    return np.repeat(_to_grey(image, window)[..., None], 3, axis=2)


def _to_grey(image: Image, window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return a grey image as it should be seen, shape (rows, columns)."""
    centre, width = window or window_of(image)
    scale = max(width - 1.0, 1e-6)
    grey = (image.pixels.astype(np.float32) - (centre - 0.5)) / scale + 0.5
    grey = np.clip(grey, 0.0, 1.0)
    if image.inverted:
        grey = 1.0 - grey
    return np.rint(grey * 255).astype(np.uint8)


def for_planner(image: Image, size: int = 224) -> PIL.Image.Image:
    """Return a square RGB picture: the whole image, physical aspect kept, black beside it."""
    # Grey stays one channel while it is resized: the same pixels in a third of the time.
    view = to_view(image) if image.is_colour else _to_grey(image)
    picture = _square_pixels(image, PIL.Image.fromarray(view))
    left, top, right, bottom = placed(image, size)
    small = picture.resize((right - left, bottom - top), PIL.Image.Resampling.LANCZOS)
    square = PIL.Image.new("RGB", (size, size))
    square.paste(small.convert("RGB"), (left, top))
    return square


def placed(image: Image, size: int) -> tuple[int, int, int, int]:
    """Return where `for_planner` puts an image in its square: left, top, right, bottom."""
    rows, columns = image.shape
    width, height = _square_size(image, columns, rows)
    factor = size / max(width, height)
    width, height = max(1, round(width * factor)), max(1, round(height * factor))
    left, top = (size - width) // 2, (size - height) // 2
    return left, top, left + width, top + height


def data_url(picture: PIL.Image.Image) -> str:
    """Return a picture as a PNG `data:` URL."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)  # a quarter of the time, 1 % more bytes
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def overlay(
    image: Image,
    masks: Mapping[str, Mask],
    colours: Mapping[str, Colour] | None = None,
    window: tuple[float, float] | None = None,
) -> PIL.Image.Image:
    """Draw masks over an image: a light fill, a sharp outline, and a legend below.

    Small images are enlarged by a whole factor so that outlines and words stay legible.

    Args:
        image: What was segmented.
        masks: By name, each (rows, columns).
        colours: By name; the palette in order where absent.
        window: As in `to_view`.

    Raises:
        ValueError: A mask has another shape than the image.
    """
    factor = max(1, -(-_MIN_OVERLAY // max(image.shape)))
    base = PIL.Image.fromarray(to_view(image, window))
    base = base.resize((base.width * factor, base.height * factor), PIL.Image.Resampling.BICUBIC)
    canvas = np.asarray(base).astype(np.float32)
    thickness = max(2, round(max(canvas.shape[:2]) / 400))
    used = _assign(masks, colours or {})
    for name, mask in masks.items():
        if mask.shape != image.shape:
            raise ValueError(f"mask '{name}' has shape {mask.shape}, the image {image.shape}")
        large = _enlarge(mask, factor)
        line = large & ~_eroded(large, thickness)
        colour = np.array(used[name], np.float32)
        canvas[large] = canvas[large] * (1 - _FILL) + colour * _FILL
        canvas[line] = colour
    picture = PIL.Image.fromarray(canvas.round().astype(np.uint8))
    picture = _square_pixels(image, picture)
    return _with_legend(picture, used) if used else picture


def heat_overlay(
    picture: PIL.Image.Image,
    heat: NDArray[np.float32],
    limits: tuple[float, float] | None = None,
) -> PIL.Image.Image:
    """Lay a heat map over a picture; the colder a place, the more it shows in grey alone.

    Args:
        picture: RGB.
        heat: (rows, columns) of the picture, in any unit.
        limits: Heat that is coldest and hottest; its own range if None.

    Raises:
        ValueError: The two have different shapes.

    Colours: magma of matplotlib, whose brightness rises with the value.
    """
    if heat.shape != (picture.height, picture.width):
        raise ValueError(f"the heat has shape {heat.shape}, the picture {picture.size[::-1]}")
    layer = heat_layer(heat, limits)
    grey = picture.convert("L").convert("RGBA")
    return PIL.Image.alpha_composite(grey, layer).convert("RGB")


def heat_layer(
    heat: NDArray[np.float32], limits: tuple[float, float] | None = None
) -> PIL.Image.Image:
    """Return a heat map alone, RGBA, to be laid over the image; the colder, the clearer.

    Args:
        heat: float (rows, columns).
        limits: As of `heat_overlay`.
    """
    from matplotlib import colormaps

    low, high = limits or (float(heat.min()), float(heat.max()))
    share = np.clip((heat - low) / (high - low), 0, 1) if high > low else np.zeros_like(heat)
    colours = colormaps["magma"](share)
    colours[..., 3] = _HEAT * share
    return PIL.Image.fromarray((255 * colours).round().astype(np.uint8), mode="RGBA")


def contact_sheet(
    images: Sequence[Image | PIL.Image.Image],
    captions: Sequence[str] = (),
    columns: int = 4,
    tile: int = 256,
) -> PIL.Image.Image:
    """Arrange images in a grid with a caption under each.

    Args:
        images: Ours or Pillow's.
        captions: One per image, or none at all; long ones are shortened with an ellipsis.
        columns: At most so many beside each other.
        tile: Side of a tile, in pixels.

    Raises:
        ValueError: No image, or another number of captions.
    """
    if not images or (captions and len(captions) != len(images)):
        raise ValueError(f"got {len(images)} images and {len(captions)} captions")
    gap, band = max(4, tile // 24), (tile // 9 if captions else 0)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = PIL.Image.new(
        "RGB", (columns * (tile + gap) + gap, rows * (tile + band + gap) + gap), _PAPER
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(max(10, tile // 16))
    for number, item in enumerate(images):
        left = gap + number % columns * (tile + gap)
        top = gap + number // columns * (tile + band + gap)
        sheet.paste(_tile(item, tile), (left, top))
        draw.rectangle((left - 1, top - 1, left + tile, top + tile), outline=_FRAME)
        if captions:
            text = _shortened(captions[number], font, tile)
            draw.text((left, top + tile + band / 2 + 1), text, _INK, font, anchor="lm")
    return sheet


def window_of(image: Image) -> tuple[float, float]:
    """Return centre and width to show a grey image with, in the units of its pixels.

    Its own window; else `CT_WINDOW` for CT; else the range between `PERCENTILES`, or the whole
    range if that is empty.
    """
    if image.window is not None:
        return image.window
    if image.modality == "CT":
        return CT_WINDOW
    low, high = np.percentile(image.pixels, PERCENTILES)
    if high <= low:
        low, high = image.pixels.min(), image.pixels.max()
    return (float(low) + float(high) + 1.0) / 2, float(high) - float(low) + 1.0


def _square_pixels(image: Image, picture: PIL.Image.Image) -> PIL.Image.Image:
    """Stretch the axis whose pixels are longer, so that a circle looks round."""
    size = _square_size(image, *picture.size)
    return picture if size == picture.size else picture.resize(size, PIL.Image.Resampling.BICUBIC)


def _square_size(image: Image, width: int, height: int) -> tuple[int, int]:
    """Return the size of a picture of the image once its pixels are square."""
    if image.spacing_mm is None:
        return width, height
    ratio = image.spacing_mm[0] / image.spacing_mm[1]
    if not 0.1 < ratio < 10 or abs(ratio - 1) < 0.01:
        return width, height
    return (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)


def _assign(masks: Mapping[str, Mask], colours: Mapping[str, Colour]) -> dict[str, Colour]:
    return {
        name: colours.get(name, PALETTE[number % len(PALETTE)]) for number, name in enumerate(masks)
    }


def _enlarge(mask: Mask, factor: int) -> Mask:
    """Enlarge with smooth borders instead of stairs."""
    if factor == 1:
        return mask.astype(bool)
    picture = PIL.Image.fromarray(mask.astype(np.uint8) * 255)
    size = (picture.width * factor, picture.height * factor)
    return np.asarray(picture.resize(size, PIL.Image.Resampling.BICUBIC)) > 127


def _eroded(mask: Mask, radius: int) -> Mask:
    """Remove `radius` pixels from the border; the picture's edge counts as border."""
    for _ in range(radius):
        padded = np.pad(mask, 1)
        mask = (
            padded[1:-1, 1:-1]
            & padded[:-2, 1:-1]
            & padded[2:, 1:-1]
            & padded[1:-1, :-2]
            & padded[1:-1, 2:]
        )
    return mask


def _with_legend(picture: PIL.Image.Image, colours: Mapping[str, Colour]) -> PIL.Image.Image:
    """Append a strip of colour chips and names; it covers no pixel of the image."""
    size = max(13, round(picture.width / 42))
    font = ImageFont.load_default(size)
    pad, line = size // 2, round(size * 1.6)
    places: list[tuple[str, float, int]] = []
    x, row = float(pad), 0
    for name in colours:
        width = size + pad / 2 + font.getlength(name) + size
        if x + width > picture.width and x > pad:
            x, row = float(pad), row + 1
        places.append((name, x, row))
        x += width
    whole = PIL.Image.new("RGB", (picture.width, picture.height + (row + 1) * line + pad), _PAPER)
    whole.paste(picture)
    draw = ImageDraw.Draw(whole)
    for name, x, row in places:
        middle = picture.height + pad / 2 + (row + 0.5) * line
        half = size * 0.4
        draw.rounded_rectangle(
            (x, middle - half, x + 2 * half, middle + half), size / 6, fill=colours[name]
        )
        draw.text((x + size + pad / 2, middle), name, _INK, font, anchor="lm")
    return whole


def _tile(item: Image | PIL.Image.Image, tile: int) -> PIL.Image.Image:
    if isinstance(item, Image):
        return for_planner(item, tile)
    fitted = item.convert("RGB")
    factor = tile / max(fitted.size)
    size = (max(1, round(fitted.width * factor)), max(1, round(fitted.height * factor)))
    square = PIL.Image.new("RGB", (tile, tile))
    fitted = fitted.resize(size, PIL.Image.Resampling.LANCZOS)
    square.paste(fitted, ((tile - fitted.width) // 2, (tile - fitted.height) // 2))
    return square


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
