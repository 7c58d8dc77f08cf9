"""What goes wrong with pictures, in five severities: noise, blur, contrast, JPEG, rotation.

Source: MedMNIST-C (Di Salvo, Doerrich, Ledig, arXiv 2406.17536), with its parameters for chest
radiographs, which are stated for pictures of 224 pixels; ours are corrupted at that size.
Rotation is not among them, and is ours.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image as PILImage
from PIL import ImageEnhance, ImageFilter

SIZE = 224
SEVERITIES = (1, 2, 3, 4, 5)

_NOISE = (0.04, 0.08, 0.12, 0.18, 0.26)  # standard deviation; 1 is white
_BLUR = (0.8, 1.1, 1.4, 1.7, 2.0)  # pixels; torchvision's sigma of kernels 3, 5, 7, 9, 11
_CONTRAST = (0.9, 0.8, 0.7, 0.6, 0.4)
_QUALITY = (50, 30, 15, 10, 7)
_DEGREES = (5.0, 10.0, 15.0, 25.0, 45.0)

Corrupt = Callable[[PILImage.Image, int, np.random.Generator], PILImage.Image]


def corrupted(
    name: str, view: PILImage.Image, severity: int, rng: np.random.Generator
) -> PILImage.Image:
    """Return a picture as it comes out, in its old size.

    Args:
        name: A key of `CORRUPTIONS`.
        view: RGB, square.
        severity: 1 to 5.
        rng: Of noise, and of the sense of a rotation.

    Raises:
        ValueError: There is no such corruption or severity.
    """
    if name not in CORRUPTIONS or severity not in SEVERITIES:
        raise ValueError(f"there is no corruption '{name}' of severity {severity}")
    small = view.resize((SIZE, SIZE), PILImage.Resampling.LANCZOS)
    return CORRUPTIONS[name](small, severity - 1, rng).resize(
        view.size, PILImage.Resampling.LANCZOS
    )


def _noise(view: PILImage.Image, place: int, rng: np.random.Generator) -> PILImage.Image:
    grey = rng.normal(0, 255 * _NOISE[place], (view.height, view.width, 1))  # as of a detector
    return PILImage.fromarray(np.clip(np.asarray(view) + grey, 0, 255).astype(np.uint8))


def _blur(view: PILImage.Image, place: int, rng: np.random.Generator) -> PILImage.Image:
    return view.filter(ImageFilter.GaussianBlur(_BLUR[place]))


def _contrast(view: PILImage.Image, place: int, rng: np.random.Generator) -> PILImage.Image:
    return ImageEnhance.Contrast(view).enhance(_CONTRAST[place])


def _jpeg(view: PILImage.Image, place: int, rng: np.random.Generator) -> PILImage.Image:
    buffer = io.BytesIO()
    view.save(buffer, "JPEG", quality=_QUALITY[place])
    return PILImage.open(buffer, formats=["JPEG"]).convert("RGB")


def _rotation(view: PILImage.Image, place: int, rng: np.random.Generator) -> PILImage.Image:
    sense = 1 if rng.random() < 0.5 else -1
    return view.rotate(sense * _DEGREES[place], PILImage.Resampling.BICUBIC)


CORRUPTIONS: dict[str, Corrupt] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "JPEG": _jpeg,
    "rotation": _rotation,
}
