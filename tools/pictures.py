"""Encode pictures and masks as PNG artifacts."""

import io
from collections.abc import Mapping

import numpy as np
import PIL.Image

from overread.imaging.render import heat_layer, heat_overlay, overlay, to_view
from overread.imaging.study import Image, Mask
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Artifact
from overread.tools.quality import Heat, Quality, quality_of
from overread.tools.segmenter import Segmentation

_LEVEL = 3  # a film takes a third of the time of the usual 6, and noise no more room
_LONGEST = 768
_BITS = (0.0, 1.0)


def png(picture: PIL.Image.Image) -> bytes:
    """Return a picture as PNG bytes; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=_LEVEL)
    return buffer.getvalue()


def store_overlay(store: ArtifactStore, image: Image, masks: Mapping[str, Mask]) -> Artifact:
    """Store the image with masks drawn over it."""
    name = f"overlay of {' and '.join(masks)}"
    return store.put(png(overlay(image, masks)), "overlay", name, ".png")


def store_outlines(
    store: ArtifactStore, image: Image, found: Mapping[str, Segmentation]
) -> tuple[Artifact, ...]:
    """Store the image with structures drawn over it, and where each outline is unsure."""
    return (
        store_overlay(store, image, {name: one.mask for name, one in found.items()}),
        *(store_uncertainty(store, image, quality_of(one), name) for name, one in found.items()),
    )


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
    view = PIL.Image.fromarray(to_view(image))
    view.thumbnail((_LONGEST, _LONGEST))
    picture = heat_overlay(view, _small(quality.uncertainty), _BITS)
    name = f"uncertainty of {target}: {quality.source}; expected Dice {quality.dice:.2f}"
    return store.put(png(picture), "plot", name, ".png")


def uncertainty_layer(uncertainty: Heat) -> PIL.Image.Image:
    """Return an uncertainty map alone, RGBA, to be laid over the image; small, on the scale of all."""
    return heat_layer(_small(uncertainty), _BITS)


def _small(heat: Heat) -> Heat:
    picture = PIL.Image.fromarray(heat)
    picture.thumbnail((_LONGEST, _LONGEST))
    return np.asarray(picture)
