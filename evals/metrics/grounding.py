"""How well boxes point at what was asked for.

A box is (left, top, right, bottom) in pixels along columns and rows, edges rather than pixels: the
first pixel of a picture is (0, 0, 1, 1). Several boxes are matched one to one, so that drawing the
same box twice earns nothing and every box that hits nothing costs. No box where none belongs is
perfect.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from overread.evals.metrics.extract import after_markers, cleaned, wrapped
from overread.imaging.errors import InputError
from overread.imaging.study import Mask

Box = tuple[float, float, float, float]
BOTH_EMPTY = 1.0

_N = r"\s*([-+]?\d+(?:\.\d+)?)\s*"
_FOUR = re.compile(
    rf"[\[(]{_N},{_N},{_N},{_N}[\])]|[\[(]{_N},{_N}[\])]\s*,?\s*[\[(]{_N},{_N}[\])]"
    rf"|^{_N}[,\s]{_N}[,\s]{_N}[,\s]{_N}$"
)
_NO_BOX = re.compile(r"\W*(?:none|nothing|no box(?:es)?|no findings?)\W*|\[\s*\]", re.IGNORECASE)


def box_iou(box: Box, truth: Box) -> float:
    """Return the intersection of two boxes over their union, 0..1; touching boxes give 0.

    Raises:
        InputError: A box has no area or is not finite.

    >>> round(box_iou((0, 0, 2, 2), (1, 0, 3, 2)), 3)
    0.333
    """
    return float(box_ious([box], [truth])[0, 0])


def box_ious(boxes: Sequence[Box], truths: Sequence[Box]) -> NDArray[np.float64]:
    """Return the IoU of each box with each reference, shape (boxes, truths).

    Raises:
        InputError: A box has no area or is not finite.

    Source: Everingham et al., The PASCAL visual object classes challenge, IJCV 88:303 (2010).
    """
    first, second = _array(boxes)[:, None], _array(truths)[None]
    corner = np.maximum(first[..., :2], second[..., :2])
    opposite = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.clip(opposite - corner, 0, None).prod(axis=-1)
    both = _area(first) + _area(second) - shared
    return shared / both


def match(ious: NDArray[np.float64], threshold: float = 0.0) -> list[tuple[int, int]]:
    """Pair boxes with references one to one: as many pairs as reach a threshold, then best IoU.

    Args:
        ious: (boxes, truths), as of `box_ious`.
        threshold: 0..1. Pairs below it, and pairs that do not overlap, are left out.

    Returns:
        Pairs (number of the box, number of the reference).

    Source: Kuhn, The Hungarian method, Naval Research Logistics 2:83 (1955), as in SciPy.

    >>> match(np.array([[0.9, 0.6], [0.6, 0.1]]), 0.5)
    [(0, 1), (1, 0)]
    >>> match(np.array([[0.9, 0.6], [0.3, 0.1]]), 0.5)
    [(0, 0)]
    """
    good = (ious >= threshold) & (ious > 0)
    weight = np.where(good, ious + min(ious.shape, default=0), 0.0)
    rows, columns = linear_sum_assignment(weight, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if good[r, c]]


def mean_iou(boxes: Sequence[Box], truths: Sequence[Box]) -> float:
    """Return the mean IoU of matched boxes; a box or reference without partner counts as 0.

    For one box and one reference it is their IoU.

    Raises:
        InputError: A box has no area or is not finite.

    >>> mean_iou([(0, 0, 1, 1), (5, 5, 6, 6)], [(0, 0, 1, 1)])
    0.5
    """
    if not boxes and not truths:
        return BOTH_EMPTY
    ious = box_ious(boxes, truths)
    rows, columns = linear_sum_assignment(ious, maximize=True)
    return float(ious[rows, columns].sum()) / max(ious.shape)


def iou_at(boxes: Sequence[Box], truths: Sequence[Box], threshold: float) -> float:
    """Return the F1 of boxes that reach an IoU: 2 * matched / (boxes + references).

    For one box and one reference it is 1 or 0, the usual IoU@t of phrase grounding.

    Args:
        boxes: Drawn.
        truths: Reference.
        threshold: Above 0, up to 1; 0.5 is common.

    Raises:
        InputError: A box has no area or is not finite, or the threshold is not in 0..1.

    >>> iou_at([(0, 0, 2, 2)], [(0, 0, 2, 3)], 0.5), iou_at([(0, 0, 2, 2)], [(0, 0, 2, 3)], 0.7)
    (1.0, 0.0)
    """
    if not 0 < threshold <= 1:
        raise InputError(f"the IoU threshold is {threshold}; give one above 0, up to 1")
    if not boxes and not truths:
        return BOTH_EMPTY
    matched = len(match(box_ious(boxes, truths), threshold))
    return 2 * matched / (len(boxes) + len(truths))


def boxes_of(mask: Mask) -> list[Box]:
    """Return one box around each connected region of a mask, in order of first row and column.

    Args:
        mask: Boolean, (rows, columns). Pixels that touch at a corner are connected.

    >>> boxes_of(np.array([[True, True, False, True]]))
    [(0.0, 0.0, 2.0, 1.0), (3.0, 0.0, 4.0, 1.0)]
    """
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return [
        (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
        for rows, columns in ndimage.find_objects(labels)
    ]


def boxes_in(text: str, size: tuple[int, int] | None = None) -> tuple[Box, ...] | None:
    r"""Return the boxes that a text gives as its answer, None where that is not plain.

    Read are "[left, top, right, bottom]", also in lists and objects of JSON, and pairs of corners
    "(left, top), (right, bottom)"; in ``\boxed{}`` or ``<answer>``, else after the last marker
    ("Answer: ..."), else anywhere. A text that says "none" has no box. One box without area makes
    the text unreadable: its corners are not guessed.

    Args:
        text: Free text.
        size: Columns and rows of the image; numbers that are all in 0..1 are shares of it.

    >>> boxes_in("The nodule is at [10, 20, 30, 40] [E2]."), boxes_in("None."), boxes_in("left")
    (((10.0, 20.0, 30.0, 40.0),), (), None)
    """
    inner = wrapped(text)
    text = cleaned(text if inner is None else inner)
    for piece in [*after_markers(text), text]:
        if _NO_BOX.fullmatch(piece):
            return ()
        if groups := _FOUR.findall(piece):
            numbers = [tuple(float(part) for part in group if part) for group in groups]
            found = [(box[0], box[1], box[2], box[3]) for box in numbers]
            return _scaled(found, size) if all(_is_sound(box) for box in found) else None
    return None


def _is_sound(box: Box) -> bool:
    return box[0] < box[2] and box[1] < box[3]


def _scaled(boxes: Sequence[Box], size: tuple[int, int] | None) -> tuple[Box, ...]:
    if size is None or not all(0 <= number <= 1 for box in boxes for number in box):
        return tuple(boxes)
    columns, rows = size
    return tuple(
        (left * columns, top * rows, right * columns, bottom * rows)
        for left, top, right, bottom in boxes
    )


def _array(boxes: Sequence[Box]) -> NDArray[np.float64]:
    if odd := next((box for box in boxes if len(box) != 4), None):
        raise InputError(f"a box has {len(odd)} numbers; give (left, top, right, bottom)")
    array = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    sound = np.isfinite(array).all(axis=1) & (array[:, :2] < array[:, 2:]).all(axis=1)
    if not sound.all():
        bad = boxes[int(np.argmin(sound))]
        raise InputError(f"the box {tuple(bad)} has no area; give (left, top, right, bottom)")
    return array


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
