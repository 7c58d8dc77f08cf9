"""Segmentation by clicks or a box without learning: what the bundled network has to be better than.

Both see the picture at most 192 pixels wide or high, as the network does, and run with the options
that their libraries have by default.
"""

import importlib.util
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from skimage.segmentation import random_walker

from overread.imaging.render import to_view
from overread.imaging.study import Image, Mask
from overread.tools.segmenter import Box, Point

LONGEST = 192
_DOT = 2
"""Radius of a click in pixels, for both."""

ByPrompts = Callable[[Image, Sequence[Point], Box | None], Mask]


def by_random_walker(image: Image, points: Sequence[Point], box: Box | None = None) -> Mask:
    """Return where a walker reaches a click inside first; the corners count as clicks outside.

    Of a box the middle counts as a click inside, and all that lies around it as outside.

    Source: Grady, Random walks for image segmentation, IEEE TPAMI 28:1768 (2006); scikit-image.
    """
    view, placed, region = _small(image, points, box)
    seeds = np.zeros(view.shape[:2], np.int32)
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        seeds[row, column] = 2
    if region is not None:
        seeds[~_inside(seeds.shape, region)] = 2
        placed = [((region[0] + region[2]) // 2, (region[1] + region[3]) // 2, True)]
    for x, y, inside in placed:
        seeds[_dot(seeds.shape, x, y)] = 1 if inside else 2
    data = view.astype(np.float64) / 255
    labels = random_walker(data, seeds, mode="cg_j", channel_axis=-1)
    return _large(labels == 1, image.shape)


def by_grab_cut(image: Image, points: Sequence[Point], box: Box | None = None) -> Mask:
    """Return what GrabCut makes of a box, for which it was made, or of clicks.

    With clicks alone all that is not clicked is background perhaps.

    Source: Rother, Kolmogorov, Blake, GrabCut, ACM TOG 23:309 (2004); OpenCV.
    """
    import cv2

    view, placed, region = _small(image, points, box)
    marks = np.full(view.shape[:2], cv2.GC_PR_BGD, np.uint8)
    if region is not None:
        marks[:] = np.where(_inside(marks.shape, region), cv2.GC_PR_FGD, cv2.GC_BGD)
        if not (marks == cv2.GC_BGD).any():  # nothing around the box to learn the background from
            return np.ones(image.shape, bool)
    for x, y, inside in placed:
        marks[_dot(marks.shape, x, y)] = cv2.GC_FGD if inside else cv2.GC_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(view[..., ::-1]),
        marks,
        (0, 0, 1, 1),
        *models,
        5,
        cv2.GC_INIT_WITH_MASK,
    )
    return _large(np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)), image.shape)


def classical() -> dict[str, ByPrompts]:
    """Return the methods whose libraries are installed, by name."""
    found: dict[str, ByPrompts] = {"random walker": by_random_walker}
    if importlib.util.find_spec("cv2") is not None:
        found["GrabCut"] = by_grab_cut
    return found


def _small(
    image: Image, points: Sequence[Point], box: Box | None
) -> tuple[NDArray[np.uint8], list[Point], Box | None]:
    rows, columns = image.shape
    scale = min(1.0, LONGEST / max(rows, columns))
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    view = PIL.Image.fromarray(to_view(image)).resize(size, PIL.Image.Resampling.BOX)

    def place(x: int, y: int) -> tuple[int, int]:
        return int((x + 0.5) * size[0] / columns), int((y + 0.5) * size[1] / rows)

    region = None if box is None else (*place(*box[:2]), *place(*box[2:]))
    return np.asarray(view), [(*place(x, y), inside) for x, y, inside in points], region


def _inside(shape: tuple[int, ...], box: Box) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    mask[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
    return mask


def _dot(shape: tuple[int, ...], x: int, y: int) -> NDArray[np.bool_]:
    down, across = np.ogrid[: shape[0], : shape[1]]
    return (down - y) ** 2 + (across - x) ** 2 < _DOT**2


def _large(mask: NDArray[np.bool_], shape: tuple[int, int]) -> Mask:
    picture = PIL.Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(picture.resize((shape[1], shape[0]), PIL.Image.Resampling.BILINEAR)) > 127
