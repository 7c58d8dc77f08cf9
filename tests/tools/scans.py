"""Series of slices through a made-up body, whose levels, movements and finding are known."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from overread.imaging.archive import Archive
from overread.imaging.study import Image, ImageRef, Mask, Plane, Series, Study
from overread.imaging.vocabulary import TARGETS
from overread.tools.segmenter import Box, Point, Segmentation

SIZE, PIXEL = 96, 2.5
"""Edge of a slice in pixels, and what one is in mm."""

_BALL, _BONE, _LIVER, _FAT = 300.0, 700.0, 110.0, -60.0


@dataclass
class Scan:
    """A series: `levels` in mm of the body, of which the file may say something else.

    Attributes:
        ball: Radius of the finding, in mm; 0 for none. ball_level: Of its middle.
        moved: Of the body, in mm to the right and down in the picture.
        is_void: Whether there is nothing but the ball.
        told_from: What the file says of the first level; None for the truth.
    """

    study: str
    levels: Sequence[float]
    ball: float = 20.0
    ball_level: float = 25.0
    moved: tuple[float, float] = (0.0, 0.0)
    is_void: bool = False
    told_from: float | None = None
    frame: str = ""
    patient: str = "P1"
    image: dict = field(default_factory=dict)

    def add(self, archive: Archive) -> ImageRef:
        """Store the series and return its middle slice, as intake does."""
        images = []
        for number, level in enumerate(self.levels):
            told = (
                level
                - self.levels[0]
                + (self.levels[0] if self.told_from is None else self.told_from)
            )
            plane = Plane(
                (0.0, 0.0, told), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), self.frame or self.study
            )
            facts = {
                "modality": "CT", "spacing_mm": (PIXEL, PIXEL), "body_part": "abdomen",
                "view": "axial", "plane": plane,
            } | self.image  # fmt: skip
            ref = ImageRef(self.study, "s0", f"i{number}")
            images.append(Image(ref=ref, pixels=self.slice(level), **facts))
        gap = float(np.median(np.diff(self.levels))) if len(self.levels) > 1 else None
        series = Series("s0", images[0].modality, tuple(images), slice_spacing_mm=gap)
        archive.add([Study(self.study, self.patient, (series,))])
        return images[len(images) // 2].ref

    def slice(self, level: float) -> np.ndarray:
        """Return the Hounsfield units of a slice, (rows, columns)."""
        y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL
        x, y = x - self.moved[0], y - self.moved[1]
        pixels = np.full((SIZE, SIZE), 0.0 if self.is_void else -1000.0, np.float32)
        if not self.is_void:
            width, depth = 95 + 10 * np.sin(level / 30), 70 + 8 * np.cos(level / 45)
            pixels[(x / width) ** 2 + (y / depth) ** 2 < 1] = _FAT
            pixels[((x + 45) / 40) ** 2 + ((y + 5) / 45) ** 2 + ((level - 60) / 70) ** 2 < 1] = (
                _LIVER
            )
            pixels[((x - 50) / 18) ** 2 + ((y - 20) / 20) ** 2 + ((level - 10) / 40) ** 2 < 1] = 40
            pixels[x**2 + (y - 48) ** 2 < (11 + 3 * np.sin(level / 8)) ** 2] = _BONE
        pixels[(x + 40) ** 2 + y**2 + (level - self.ball_level) ** 2 < self.ball**2] = _BALL
        return pixels


class BallSegmenter:
    """Finds the ball by its Hounsfield units, and counts what it is asked."""

    version = "ball 1"
    targets: tuple[str, ...] = TARGETS
    any_words = False

    def __init__(self, confidence: float = 0.9) -> None:
        self.confidence = confidence
        self.asked: list[ImageRef] = []

    def segment(
        self,
        image: Image,
        target: str | None = None,
        points: Sequence[Point] = (),
        box: Box | None = None,
        scribble: Mask | None = None,
        previous: Mask | None = None,
    ) -> Segmentation:
        self.asked.append(image.ref)
        mask = image.pixels == _BALL
        return Segmentation(mask, mask.astype(np.float32), bool(mask.any()), self.confidence)
