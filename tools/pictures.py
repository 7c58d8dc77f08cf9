"""Encode pictures and masks as PNG artifacts."""

import io
from collections.abc import Mapping

import numpy as np
import PIL.Image

from overread.imaging.render import overlay
from overread.imaging.study import Image, Mask
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Artifact


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
