"""What the segmenter makes of a person's clicks, boxes and strokes; the interactive path."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
from PIL import ImageDraw

from overread.imaging.errors import InputError
from overread.imaging.study import Image, Mask
from overread.tools.quality import Quality, quality
from overread.tools.segmenter import Box, Point, Segmentation, Segmenter

MAX_POINTS = 200
_MAX_STROKE = 5000

Stroke = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Everything a person drew on an image.

    Attributes:
        target: A name the segmenter knows; None to go by the drawing alone.
        points: (x, y, is_inside), in pixels of the image.
        box: (left, top, right, bottom), or None.
        strokes: Lines inside the target, each of (x, y).
        previous: The mask that is corrected, or None.
    """

    target: str | None = None
    points: Sequence[Point] = ()
    box: Box | None = None
    strokes: Sequence[Stroke] = ()
    previous: Mask | None = None


def answer(segmenter: Segmenter, image: Image, prompts: Prompts) -> Segmentation:
    """Return the mask for what was drawn.

    Raises:
        InputError: Nothing was drawn, too much was, or something lies outside the image.
    """
    if len(prompts.points) > MAX_POINTS:
        raise InputError(f"there are {len(prompts.points)} points; at most {MAX_POINTS} are used")
    return segmenter.segment(
        image,
        prompts.target,
        prompts.points,
        prompts.box,
        _scribble(image, prompts),
        prompts.previous,
    )


def doubt(segmenter: Segmenter, image: Image, prompts: Prompts) -> Quality:
    """Return how good the mask for what was drawn is thought to be, and where it is unsure.

    Points and the box are moved a little; strokes and a mask stay as they are.

    Raises:
        InputError: As `answer`.
    """
    return quality(
        segmenter,
        image,
        answer(segmenter, image, prompts),
        prompts.target,
        prompts.points,
        prompts.box,
        _scribble(image, prompts),
        prompts.previous,
    )


def _scribble(image: Image, prompts: Prompts) -> Mask | None:
    return stroked(image.shape, prompts.strokes) if prompts.strokes else None


def stroked(shape: tuple[int, int], strokes: Sequence[Stroke], width: int | None = None) -> Mask:
    """Draw lines as a mask.

    Args:
        shape: Rows, columns.
        strokes: Lines of (x, y) in pixels; a single place is a dot.
        width: Of the lines in pixels; by default a hundredth of the longer side.

    Raises:
        InputError: A line has too many places.
    """
    canvas = PIL.Image.new("1", (shape[1], shape[0]))
    draw, width = ImageDraw.Draw(canvas), width or max(1, max(shape) // 100)
    for stroke in strokes:
        if len(stroke) > _MAX_STROKE:
            raise InputError(f"a stroke has {len(stroke)} places; at most {_MAX_STROKE} are used")
        places = [(float(x), float(y)) for x, y in stroke]
        if len(places) > 1:
            draw.line(places, fill=1, width=width, joint="curve")
        for x, y in places[:1]:
            draw.circle((x, y), width / 2, fill=1)
    return np.asarray(canvas).astype(bool)


def mask_png(mask: Mask) -> bytes:
    """Return a mask as a PNG of one bit a pixel: white inside."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(mask.astype(bool)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_mask(data: bytes, shape: tuple[int, int] | None = None) -> Mask:
    """Return the mask of a PNG.

    Args:
        data: The file's content.
        shape: Rows and columns of the image it belongs to; None where any will do.

    Raises:
        InputError: It is no PNG, or has another size than the image.
    """
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            if shape is not None and picture.size != (shape[1], shape[0]):
                raise InputError(
                    f"the mask is {picture.size[0]} x {picture.size[1]} pixels, "
                    f"the image {shape[1]} x {shape[0]}"
                )
            return np.asarray(picture.convert("L")) > 127
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise InputError("the mask is not a PNG picture") from error
