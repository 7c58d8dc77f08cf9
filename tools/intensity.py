"""Statistics of the pixel values in a region: Hounsfield units for CT."""

from dataclasses import dataclass

import numpy as np

from overread.imaging.errors import InputError
from overread.imaging.study import Image, Mask


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
