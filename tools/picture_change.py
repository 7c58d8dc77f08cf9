"""What became of findings between two single images."""

from collections.abc import Sequence
from dataclasses import replace

import PIL.Image

from overread.imaging.loose import EIGHT_BIT_WINDOW
from overread.imaging.render import overlay
from overread.imaging.study import Image, Mask, Spacing
from overread.tools.change import Followed, Lesion, follow, lesions
from overread.tools.comparison import Comparison, Outliner
from overread.tools.registration import (
    PICTURES,
    Registration,
    onto,
    register,
    shown_onto,
    spacings,
    trust,
)

_IN_PIXELS = "lengths are in pixels of the later image, on the scale of the registration"


def compare_pictures(
    current: Image,
    prior: Image,
    targets: Sequence[str],
    outline: Outliner,
    captions: tuple[str, str],
) -> Comparison:
    """Register two images, outline the targets in both, and pair what is found.

    Args:
        current: The later image.
        prior: The earlier one.
        targets: What to follow.
        outline: Outlines a target in an image.
        captions: Of the pictures of both.
    """
    registration = register(current, prior)
    believed = trust(registration.likeness, PICTURES) > 0
    followed = targets if believed else ()
    masks = {name: tuple(outline(image, name) for image in (current, prior)) for name in followed}
    in_mm = current.spacing_mm is not None
    drawn = [
        {n: both[side].mask for n, both in masks.items() if both[side].mask.any()}
        for side in (0, 1)
    ]
    return Comparison(
        registration=registration,
        limits=PICTURES,
        changes={
            name: _follow(current, prior, registration, now.mask, before.mask)
            for name, (now, before) in masks.items()
        },
        sure=min((one.sure for both in masks.values() for one in both), default=0.0),
        notes=() if in_mm or not believed else (_IN_PIXELS,),
        pictures={
            captions[0]: overlay(current, drawn[0]),
            captions[1]: _laid_on(current, prior, registration, drawn[1]),
        },
    )


def _follow(
    current: Image, prior: Image, registration: Registration, now: Mask, before: Mask
) -> list[Followed]:
    here, there = spacings(current, prior)
    old = lesions(before, there)
    moved = [_moved(registration, lesion, here, there) for lesion in old]
    if current.spacing_mm is None:
        old = [_scaled(lesion, 1 / registration.scale) for lesion in old]
    return follow(lesions(now, here), old, moved, here)


def _scaled(lesion: Lesion, factor: float) -> Lesion:
    """Return a finding as large as it is on the later image, where no pixel size says how large."""
    return replace(
        lesion,
        long_axis=lesion.long_axis * factor,
        diameter=lesion.diameter * factor,
    )


def _moved(
    registration: Registration, lesion: Lesion, here: Spacing, there: Spacing
) -> tuple[float, float]:
    """Return where a place of the earlier image lies in the later one, (row, column)."""
    point = (lesion.place[1] * there[1], lesion.place[0] * there[0])
    x, y = registration.transform.GetInverse().TransformPoint(point)
    return y / here[0], x / here[1]


def _laid_on(
    current: Image, prior: Image, registration: Registration, masks: dict[str, Mask]
) -> PIL.Image.Image:
    """Return the earlier image with its outlines, as it lies on the later."""
    pixels = shown_onto(registration, prior, current)
    shown = replace(current, pixels=pixels, window=EIGHT_BIT_WINDOW, inverted=False)
    return overlay(
        shown, {name: onto(registration, mask, prior, current) for name, mask in masks.items()}
    )
