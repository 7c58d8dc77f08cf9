"""Statistics of the pixel values in a region: Hounsfield units for CT."""

from dataclasses import dataclass

import numpy as np

from overread.imaging.errors import InputError
from overread.imaging.study import Image, Mask
from overread.tools.uncertainty import Measured, within

HU_TOLERANCE = 5.0
"""How far a mean in Hounsfield units may be off and be called right: as far as a scanner's water may be.

They are no ratio scale: a fifth of a value near that of water would be nothing.
Source: American College of Radiology, Computed Tomography Quality Control Manual (2017), water 0 ± 5.
"""

GREY_TOLERANCE = 0.2
"""The same of grey values, whose nought and unit mean nothing, in standard deviations of the picture.

Source: Cohen, Statistical Power Analysis for the Behavioral Sciences (1988): a small difference.
"""


@dataclass(frozen=True, slots=True)
class Intensity:
    """Mean, standard deviation, median, 5th and 95th percentile and number of pixels."""

    mean: float
    deviation: float
    median: float
    low: float
    high: float
    pixels: int


def unit_of(image: Image) -> str:
    """Return the unit of an image's pixel values: "HU" for CT, else grey values of the file."""
    return "HU" if image.modality == "CT" else "grey values"


def near(image: Image, mean: Measured) -> float:
    """Return the probability that a mean is right: off by no more than is tolerated.

    Args:
        image: Grey, in which it was measured.
        mean: With its error.
    """
    if unit_of(image) == "HU":
        tolerance = HU_TOLERANCE
    else:
        tolerance = GREY_TOLERANCE * float(image.pixels.std(dtype=np.float64))
    return within(Measured(0.0, mean.error), tolerance)


def intensity(image: Image, mask: Mask) -> Intensity:
    """Return the statistics of the pixels in a mask.

    Args:
        image: Grey.
        mask: (rows, columns).

    Raises:
        InputError: The image has colour, or the mask is empty.
    """
    if image.is_colour:
        raise InputError("the image has colour; statistics are of grey images")
    values = image.pixels[mask].astype(np.float64)
    if values.size == 0:
        raise InputError("there is no pixel to measure there")
    low, median, high = np.percentile(values, (5, 50, 95))
    return Intensity(
        float(values.mean()), float(values.std()), float(median), float(low), float(high),
        int(values.size),
    )  # fmt: skip
