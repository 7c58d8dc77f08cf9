"""The masks of a series inside the picture that shows them.

A contact sheet of an outline that was carried through a series holds the outlines themselves, as
text chunks of its PNG. So picture and masks are one file, which is stored, exported and forgotten
with its evidence.
"""

import base64
import io
from collections.abc import Mapping

import PIL.Image
from PIL import PngImagePlugin

from overread.imaging.study import ImageRef, Mask
from overread.tools.clicks import mask_png, read_mask

_KEY = "overread-mask"


def to_png(picture: PIL.Image.Image, masks: Mapping[ImageRef, Mask]) -> bytes:
    """Return a picture as PNG that holds masks, each (rows, columns) of its image."""
    text = PngImagePlugin.PngInfo()
    for number, (ref, mask) in enumerate(masks.items(), start=1):
        text.add_text(f"{_KEY}-{number}", f"{ref} {base64.b64encode(mask_png(mask)).decode()}")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def masks_in(data: bytes) -> dict[ImageRef, Mask]:
    """Return the masks that a PNG holds; none if it was made without.

    Raises:
        InputError: One cannot be read.
    """
    with PIL.Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
        told = [str(value) for key, value in picture.info.items() if str(key).startswith(_KEY)]
    found = {}
    for entry in told:
        ref, _, mask = entry.partition(" ")
        found[ImageRef.parse(ref)] = read_mask(base64.b64decode(mask))
    return found
