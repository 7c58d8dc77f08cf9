"""Made-up pictures: marked on their pixels and in their file, and known again when they are read."""

import io
import json
from collections.abc import Mapping
from typing import Any

import PIL.Image
from PIL import ImageDraw, ImageFont, PngImagePlugin

KEY = "overread-synthetic"
"""PNG text chunk that a made-up picture carries; its value says how it was made, as JSON."""

HEADER = "synthetic"
"""Key in a study's header that is "YES" for a made-up picture."""

WORDS = "SYNTHETIC - NO PATIENT"
_STRIPE, _ACROSS = 0.055, 0.35
_INK, _PAPER = (255, 255, 255), (150, 20, 90)
_SMALLEST_STRIPE = 12


def marked(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return a picture with the words on its pixels: stripes above and below, and once across.

    The picture keeps its size; what lies under the stripes is lost, so that cropping one away
    leaves another.
    """
    shown = picture.convert("RGB")
    height = max(_SMALLEST_STRIPE, round(_STRIPE * shown.height))
    draw = ImageDraw.Draw(shown)
    for top in (0, shown.height - height):
        draw.rectangle((0, top, shown.width, top + height), fill=_PAPER)
        draw.text(
            (shown.width / 2, top + height / 2), WORDS, _INK, _font(shown.width, height), "mm"
        )
    across = PIL.Image.new("L", shown.size)
    ImageDraw.Draw(across).text(
        (shown.width / 2, shown.height / 2), WORDS, round(255 * _ACROSS),
        _font(shown.width, shown.height), "mm",
    )  # fmt: skip
    shown.paste(_INK, mask=across.rotate(30))
    return shown


def to_png(picture: PIL.Image.Image, facts: Mapping[str, Any]) -> bytes:
    """Return a picture, marked, as PNG that says in its text how it was made.

    Args:
        picture: As it was made.
        facts: Such as the engine, the words and the seed; JSON.
    """
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, json.dumps(facts, sort_keys=True))
    text.add_text("Description", f"{WORDS}; made by a program, for education and research")
    buffer = io.BytesIO()
    marked(picture).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def is_synthetic(info: Mapping[Any, Any]) -> bool:
    """Whether what Pillow read of a file (`Image.info`) says that its picture was made up."""
    return KEY in info


def _font(width: int, height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font in which the words fit a place."""
    size = max(6, round(0.7 * height))
    font = ImageFont.load_default(size)
    while size > 6 and font.getlength(WORDS) > 0.9 * width:
        size -= 1
        font = ImageFont.load_default(size)
    return font
