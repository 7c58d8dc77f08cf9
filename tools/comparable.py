"""Whether two images can be compared at all: one kind, one plane, one part of the body, something shown."""

import numpy as np

from overread.imaging.errors import InputError
from overread.imaging.plane import normal
from overread.imaging.study import Image
from overread.tools.blank import is_blank
from overread.tools.stack import Stack

_FEWEST_PIXELS = 32
"""Least edge, in pixels: below it the coarsest step of registration has nothing to go by."""

_ONE_LEVEL_MM = 5.0
"""Slices of one frame of reference that lie nearer than this show one level: a usual slice is as thick."""

_ONE_VIEW = {"AP": "PA"}
"""Both are frontal, and show the same from in front."""

_REGIONS = tuple(
    frozenset(words.split())
    for words in (
        "brain head skull face",
        "chest lung heart rib sternum",
        "abdomen liver kidney spleen pancreas colon",
        "pelvis bladder prostate uterus cervix",
        "eye retina orbit",
    )
)
"""Body parts that headers name for one and the same examination."""


def check_kind(current: Image, other: Image, number: int, earlier: int) -> None:
    """Check that two images are of one kind, as far as their files tell.

    Args:
        current: The later image.
        other: The earlier one.
        number: Of the later image, for the message.
        earlier: Of the earlier one.

    Raises:
        InputError: They are not.
    """
    if current.modality != other.modality or current.is_colour != other.is_colour:
        raise InputError(
            f"image {number} is {current.modality} and image {earlier} is {other.modality}; "
            "only images of one kind are compared"
        )
    if current.view and other.view and _view(current) != _view(other):
        raise InputError(
            f"image {number} is {current.view} and image {earlier} is {other.view}; only images of "
            "one plane or view are compared"
        )
    if current.body_part and other.body_part and not _one_region(current, other):
        raise InputError(
            f"image {number} is of the {current.body_part} and image {earlier} of the "
            f"{other.body_part}; only images of one part of the body are compared"
        )
    if (current.spacing_mm is None) != (other.spacing_mm is None):
        raise InputError(
            f"the pixel size of only one of the images {number} and {earlier} is known, so sizes "
            "cannot be compared"
        )


def check_picture(image: Image, number: int) -> None:
    """Check that a single image shows something that can be registered.

    Raises:
        InputError: It is too small, or blank.
    """
    rows, columns = image.shape
    if min(rows, columns) < _FEWEST_PIXELS:
        raise InputError(
            f"image {number} has {rows} x {columns} pixels; images are compared from "
            f"{_FEWEST_PIXELS} x {_FEWEST_PIXELS} on"
        )
    if is_blank(image):
        raise InputError(f"image {number} is blank, so nothing can be compared with it")


def check_level(current: Image, other: Image, number: int, earlier: int) -> None:
    """Check that two single slices lie at one level, where they have one frame of reference.

    Raises:
        InputError: They do not.
    """
    if current.plane is None or other.plane is None or current.plane.frame != other.plane.frame:
        return
    way = np.array(current.plane.position) - np.array(other.plane.position)
    away = abs(float(way @ normal(current.plane)))
    if away > _ONE_LEVEL_MM:
        raise InputError(
            f"images {number} and {earlier} lie {away:.0f} mm apart, so they do not show the same "
            "level; give slices of one level"
        )


def check_series(current: Stack, other: Stack, number: int, earlier: int) -> None:
    """Check that two slices are not of one series, taken at one time.

    Raises:
        InputError: They are.
    """
    if current.refs == other.refs:
        raise InputError(
            f"images {number} and {earlier} are slices of one series; give one of an earlier series"
        )


def _view(image: Image) -> str:
    view = image.view or ""
    return _ONE_VIEW.get(view, view)


def _one_region(current: Image, other: Image) -> bool:
    first, second = (set((image.body_part or "").split()) for image in (current, other))
    return bool(first & second) or any(first & region and second & region for region in _REGIONS)
