"""What stands for a volume or a clip: its key images, and one vector pooled from theirs."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PIL import Image as PILImage

from overread.imaging.render import to_view
from overread.imaging.study import Image
from overread.index.embedder import Vectors, unit

MAX_PER_SERIES = 16
"""Slices or frames of a series that are indexed; neighbours are nearly the same."""

_THUMBNAIL = 64


def key_images(images: Sequence[Image], most: int = MAX_PER_SERIES) -> list[Image]:
    """Return the images that stand for a series, in their order; all of them if there are few.

    The series is parted into `most` equal stretches, so that all of it is seen, and each gives the
    image with the most structure: air above the head and a faded frame show little.

    Args:
        images: Of one series, in order of position or time.
        most: Positive.
    """
    if len(images) <= most:
        return list(images)
    edges = np.linspace(0, len(images), most + 1).round().astype(int)
    chosen = []
    for start, end in pairwise(edges):
        told = [structure(image) for image in images[start:end]]
        chosen.append(images[start + int(np.argmax(told))])  # of equals the first
    return chosen


def structure(image: Image) -> float:
    """Return the mean squared gradient of an image as it is seen, at 64 x 64 pixels.

    So small, noise is averaged away and edges of anatomy are left.
    """
    grey = PILImage.fromarray(to_view(image)).convert("L")
    small = grey.resize((_THUMBNAIL, _THUMBNAIL), PILImage.Resampling.BOX)
    down, across = np.gradient(np.asarray(small, np.float64))
    return float((down**2 + across**2).mean())


def pooled(vectors: Vectors) -> Vectors:
    """Return one unit vector for several: their mean, scaled to length one, shape (dim,).

    Args:
        vectors: Unit length, shape (n, dim), n at least 1. Opposite ones may cancel out: then the
            first stands for all.
    """
    mean = np.asarray(vectors, np.float32).mean(axis=0)
    return unit(mean[None])[0] if np.linalg.norm(mean) > 1e-6 else np.asarray(vectors[0])
