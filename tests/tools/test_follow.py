"""Outlines carried through a series: a ball in noise, whose slices are known."""

import math

import numpy as np
import pytest

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.study import Image, ImageRef, Series, Study
from overread.tools.bundled_segmenter import bundled_segmenter
from overread.tools.follow import MAX_FRAMES, follow
from overread.tools.segmenter import Segmentation
from overread.tools.volume import followed_volume

SIDE, NUMBER, MIDDLE, RADIUS = 128, 17, 8, 24
STEP = 4.0
"""Pixels of a ball's height between two slices."""


def ball() -> tuple[list[Image], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    down, across = np.mgrid[:SIDE, :SIDE]
    images, truths = [], []
    for number in range(NUMBER):
        square = RADIUS**2 - ((number - MIDDLE) * STEP) ** 2
        truth = (down - 60) ** 2 + (across - 66) ** 2 < max(square, 0)
        pixels = rng.normal(0, 6, (SIDE, SIDE)) + np.where(truth, 160.0, 60.0)
        images.append(
            Image(
                ImageRef("st", "s0", f"i{number}"),
                pixels.astype(np.float32),
                "MR",
                (1.0, 1.0),
                (110.0, 220.0),
            )
        )
        truths.append(truth)
    return images, truths


def test_a_ball_is_followed_to_both_of_its_ends() -> None:
    images, truths = ball()
    found = follow(bundled_segmenter(), images, MIDDLE, truths[MIDDLE])
    assert len(found) == NUMBER and np.array_equal(found[MIDDLE].mask, truths[MIDDLE])
    for one, truth in zip(found, truths, strict=True):
        assert one.found == one.mask.any()
        if truth.sum() > 300:
            assert 2 * (one.mask & truth).sum() / (one.mask.sum() + truth.sum()) > 0.75
    assert not found[0].found and not found[-1].found


class Jumps:
    """Finds the neighbour's mask, but something else from the third slice on."""

    version, targets, any_words = "jumps 1", (), False

    def __init__(self) -> None:
        self.asked: list[int] = []

    def segment(self, image: Image, target: str | None = None, **given: object) -> Segmentation:
        number = int(image.ref.instance[1:])
        self.asked.append(number)
        mask = np.array(given["previous"], bool)
        ((x, y, inside),) = given["points"]  # type: ignore[misc]
        assert inside and mask[y, x]
        if number == 3:
            mask = np.roll(mask, 60, axis=1)
        return Segmentation(mask, mask.astype(np.float32), True, 0.9)


def test_another_thing_ends_the_chain() -> None:
    images, truths = ball()
    segmenter = Jumps()
    found = follow(segmenter, images[:6], 1, truths[MIDDLE])
    assert [one.found for one in found] == [True, True, True, False, False, False]
    assert segmenter.asked == [0, 2, 3]


def test_what_cannot_be_followed_is_said() -> None:
    images, truths = ball()
    first, segmenter = truths[MIDDLE], bundled_segmenter()
    with pytest.raises(InputError, match="no image 17"):
        follow(segmenter, images, NUMBER, first)
    with pytest.raises(InputError, match="is empty"):
        follow(segmenter, images, 0, np.zeros((SIDE, SIDE), bool))
    with pytest.raises(InputError, match="shape"):
        follow(segmenter, images, 0, np.ones((4, 4), bool))
    with pytest.raises(InputError, match=f"at most {MAX_FRAMES}"):
        follow(segmenter, images[:1] * (MAX_FRAMES + 1), 0, first)


def test_a_volume_follows_from_an_outline(archive: Archive) -> None:
    images, truths = ball()
    series = Series("s0", "MR", tuple(images), slice_spacing_mm=STEP)
    archive.add([Study("st", "p", (series,))])
    told = followed_volume(archive, bundled_segmenter(), images[MIDDLE].ref, truths[MIDDLE])
    truth = 4 / 3 * math.pi * RADIUS**3 / 1000
    assert told.of == NUMBER and told.measured.value == pytest.approx(truth, rel=0.15)
    assert told.measured.error > 0
