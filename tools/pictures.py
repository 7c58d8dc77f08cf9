"""Encode pictures and masks as PNG artifacts."""

import io
from collections.abc import Mapping

import numpy as np
import PIL.Image

from overread.imaging.render import heat_overlay, overlay, to_view
from overread.imaging.study import Image, Mask
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Artifact
from overread.tools.quality import Quality

_LONGEST = 768


def png(picture: PIL.Image.Image) -> bytes:
    """Return a picture as PNG bytes; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def store_overlay(store: ArtifactStore, image: Image, masks: Mapping[str, Mask]) -> Artifact:
    """Store the image with masks drawn over it."""
    name = f"overlay of {' and '.join(masks)}"
    return store.put(png(overlay(image, masks)), "overlay", name, ".png")


def store_mask(store: ArtifactStore, mask: Mask, target: str) -> Artifact:
    """Store a mask at the image's full resolution: white inside, black outside."""
    picture = PIL.Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
    return store.put(png(picture), "mask", f"mask of {target}", ".png")


def store_uncertainty(
    store: ArtifactStore, image: Image, quality: Quality, target: str
) -> Artifact:
    """Store the image under its uncertainty map, on a scale that is the same for all: 0 to 1 bit.

    Large images are made smaller: it is a picture to be looked at.
    """
    view, heat = PIL.Image.fromarray(to_view(image)), PIL.Image.fromarray(quality.uncertainty)
    for picture in (view, heat):
        picture.thumbnail((_LONGEST, _LONGEST))
    picture = heat_overlay(view, np.asarray(heat), (0.0, 1.0))
    name = f"uncertainty of {target}: {quality.source}; expected Dice {quality.dice:.2f}"
    return store.put(png(picture), "plot", name, ".png")
