"""A phantom as the readers would return its file."""

from overread.imaging.phantoms.truth import Phantom
from overread.imaging.study import Image, ImageRef


def phantom_image(phantom: Phantom) -> Image:
    """Return the image of a phantom."""
    return Image(
        ref=ImageRef(phantom.study_id, "s0", "i0"),
        pixels=phantom.pixels,
        modality=phantom.modality,
        spacing_mm=phantom.spacing_mm,
        window=None if phantom.pixels.ndim == 3 else phantom.window,
        body_part=phantom.body_part,
        view=phantom.view,
    )
