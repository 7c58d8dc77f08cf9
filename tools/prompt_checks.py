"""Whether what a person drew lies on the image; the same sentences for every segmenter."""

from collections.abc import Sequence

from overread.imaging.errors import InputError
from overread.imaging.study import Mask
from overread.tools.segmenter import Box, Point


def check_prompts(
    shape: tuple[int, int],
    points: Sequence[Point] = (),
    box: Box | None = None,
    scribble: Mask | None = None,
    previous: Mask | None = None,
) -> bool:
    """Check prompts, and return whether there is any.

    Args:
        shape: (rows, columns) of the image.
        points: (x, y, is_inside) in pixels.
        box: (left, top, right, bottom) in pixels, inclusive.
        scribble: (rows, columns).
        previous: (rows, columns).

    Raises:
        InputError: A prompt lies outside the image, a box is turned inside out, or a mask has
            another shape than the image.
    """
    for x, y, _ in points:
        _require_inside(shape, x, y, "point")
    if box is not None:
        left, top, right, bottom = box
        _require_inside(shape, left, top, "box corner")
        _require_inside(shape, right, bottom, "box corner")
        if right < left or bottom < top:
            raise InputError(f"box {box} is inside out; give (left, top, right, bottom)")
    for name, mask in (("scribble", scribble), ("previous mask", previous)):
        if mask is not None and mask.shape != shape:
            raise InputError(f"the {name} has shape {mask.shape}, the image {shape}")
    return bool(points) or any(prompt is not None for prompt in (box, scribble, previous))


def _require_inside(shape: tuple[int, int], x: int, y: int, what: str) -> None:
    rows, columns = shape
    if not (0 <= x < columns and 0 <= y < rows):
        raise InputError(
            f"{what} ({x}, {y}) is outside the image, which is {columns} wide and "
            f"{rows} high; give (x, y) in pixels"
        )
