"""Read PNG, JPEG and TIFF. Metadata (EXIF, text chunks) is never carried over.

But for one fact: that a picture says of itself that it was made up (`imaging/synthetic.py`).
"""

import re
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps

from overread.imaging import loose, synthetic
from overread.imaging.errors import UnreadableImage
from overread.imaging.limits import MAX_PIXELS, MAX_VOXELS, check_finite, check_size, reading
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import Pixels, Spacing, Study

_CENTIMETRE = 3
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _DESCRIPTION = 282, 283, 296, 270
_EIGHT_BIT = ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "PA", "La", "RGBa")
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def read(path: Path, kind: str, pseudonymiser: Pseudonymiser) -> Study:
    """Read a picture as a study; the pages of a TIFF are its frames.

    Args:
        path: The file.
        kind: "PNG", "JPEG" or "TIFF"; no other decoder is tried.
        pseudonymiser: Names the study by the file's content.

    Raises:
        UnreadableImage: Damaged, animated, over a limit, or of an unsupported pixel type.
    """
    with reading(path, kind):
        try:
            picture = PIL.Image.open(path, formats=[kind])
        except PIL.Image.DecompressionBombError:
            raise UnreadableImage(
                f"{path} states more than {MAX_PIXELS:,} pixels and may be a decompression "
                "bomb; if you trust it, make it smaller."
            ) from None
        with picture:
            count = getattr(picture, "n_frames", 1)
            if count > 1 and kind != "TIFF":
                raise UnreadableImage(f"{path} is animated; give a video or single pictures.")
            spacing = _tiff_spacing(picture) if kind == "TIFF" else None
            frames, deep = _pages(path, picture, count)
            made_up = {synthetic.HEADER: "YES"} if synthetic.is_synthetic(picture.info) else {}
        return loose.study(
            path,
            pseudonymiser,
            frames,
            {"format": kind} | made_up,
            spacing_mm=spacing,
            window=None if deep else loose.EIGHT_BIT_WINDOW,
        )


def _pages(path: Path, picture: PIL.Image.Image, count: int) -> tuple[list[Pixels], bool]:
    """Decode all pages, their sizes summed up, and say whether any has more than 8 bits."""
    frames: list[Pixels] = []
    deep, total = False, 0
    for number in range(count):
        if number:
            picture.seek(number)
        total += picture.height * picture.width
        check_size(path, picture.height, picture.width, count)
        if total > MAX_VOXELS:
            raise UnreadableImage(f"{path} has more than {MAX_VOXELS:,} pixels over its pages.")
        deep = deep or picture.mode in _DEEP
        frames.append(_page(path, picture))
    return frames, deep


def _page(path: Path, picture: PIL.Image.Image) -> Pixels:
    """Decode the current page upright, without transparency."""
    if picture.mode in _DEEP:
        pixels = np.asarray(picture).astype(np.float32)
        check_finite(path, pixels)
        return pixels
    if picture.mode not in _EIGHT_BIT:
        raise UnreadableImage(f"{path} has pixels of an unsupported type; save it as 8 or 16 bit.")
    upright = ImageOps.exif_transpose(picture)
    return loose.as_pixels(_flatten(upright))


def _flatten(picture: PIL.Image.Image) -> NDArray[np.uint8]:
    """Return RGB, transparent parts black."""
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        black = PIL.Image.new("RGBA", layer.size, (0, 0, 0, 255))
        picture = PIL.Image.alpha_composite(black, layer)
    return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))


def _tiff_spacing(picture: PIL.Image.Image) -> Spacing | None:
    """Return mm between rows, then columns, only where the writer meant a physical size.

    Dots per inch is about paper, and is ignored. Centimetres are what microscopes write; ImageJ
    writes pixels per the unit that its description names.

    Source: TIFF 6.0, ResolutionUnit; ImageJ, TiffEncoder.
    """
    tags = getattr(picture, "tag_v2", {})
    described = re.search(r"^unit=(\S+)", str(tags.get(_DESCRIPTION, "")), re.MULTILINE)
    if described:
        name = described[1].replace("\\u00B5", "u").replace("µ", "u").lower()
        unit = {"um": 1e-3, "micron": 1e-3, "microns": 1e-3, "mm": 1.0, "cm": 10.0}.get(name)
    else:
        unit = 10.0 if tags.get(_RESOLUTION_UNIT) == _CENTIMETRE else None
    per_unit = [float(tags.get(tag, 0) or 0) for tag in (_Y_RESOLUTION, _X_RESOLUTION)]
    if unit is None or not all(np.isfinite(v) and v > 0 for v in per_unit):
        return None
    return unit / per_unit[0], unit / per_unit[1]
