"""What a device does to a perfect picture: blur, tone, noise, artefacts, rounding."""

import numpy as np
from numpy.typing import NDArray

from overread.imaging.phantoms.drawing import Grid, blur, resize, smooth_noise
from overread.imaging.phantoms.scanners import Scanner
from overread.imaging.study import Spacing

CT_RANGE = (-1024.0, 3071.0)
GREY_STEPS = 16  # grey pixels are multiples of 1/16, which a DICOM rescale slope stores exactly


def _sharpness(image: Grid, scanner: Scanner, spacing_mm: Spacing) -> Grid:
    sigma = (scanner.blur_mm / spacing_mm[0], scanner.blur_mm / spacing_mm[1])
    return blur(image, sigma) if max(sigma) > 0.2 else image


def _tone(image: Grid, scanner: Scanner) -> Grid:
    image = np.clip(image, np.float32(0), np.float32(1))
    if scanner.gamma != 1.0:
        image = image ** np.float32(scanner.gamma)
    return (image - np.float32(0.5)) * np.float32(scanner.contrast) + np.float32(0.5)


def _correlated(rng: np.random.Generator, size: int, share: float = 0.6) -> Grid:
    fine = rng.standard_normal((size, size), dtype=np.float32)
    half = max(size // 2, 2)
    coarse = resize(rng.standard_normal((half, half), dtype=np.float32), size)
    return np.float32(1 - share) * fine + np.float32(share * 1.3) * coarse


def grey(image: Grid, scanner: Scanner, spacing_mm: Spacing, rng: np.random.Generator) -> Grid:
    """Turn a radiograph or MR picture of 0..1 into 0..255; noise grows in dark MR as Rician."""
    size = image.shape[0]
    exposed = image > np.float32(0.05)
    image = image * np.float32(rng.uniform(0.9, 1.1))
    image[exposed] += np.float32(rng.normal(0, 0.025))
    image = _tone(_sharpness(image, scanner, spacing_mm), scanner)
    if scanner.bias:
        image = image * (1 + np.float32(scanner.bias) * smooth_noise(rng, size, 2))
    if scanner.ghost:
        image = image + np.float32(scanner.ghost) * np.roll(image, size // 5, axis=0)
        image = image + np.float32(scanner.ghost) * np.roll(image, -size // 5, axis=0)
    if scanner.grid:
        lines = np.sin(np.arange(size, dtype=np.float32) * np.float32(2.1))
        image = image + np.float32(scanner.grid) * lines[None, :]
    if scanner.name.startswith("mr"):
        noise = np.float32(scanner.noise)
        real = image + noise * rng.standard_normal(image.shape, dtype=np.float32)
        image = np.hypot(real, noise * rng.standard_normal(image.shape, dtype=np.float32))
    else:
        image = image + np.float32(scanner.noise) * _correlated(rng, size)
    steps = np.rint(np.clip(image, 0, 1) * np.float32(255 * GREY_STEPS))
    return (steps / np.float32(GREY_STEPS)).astype(np.float32)


def hounsfield(
    image: Grid, scanner: Scanner, spacing_mm: Spacing, rng: np.random.Generator
) -> Grid:
    """Blur a CT slice in HU, add correlated noise, streak-like rings, and round to whole HU."""
    size = image.shape[0]
    image = _sharpness(image, scanner, spacing_mm)
    image = np.asarray(image + np.float32(scanner.noise) * _correlated(rng, size))
    if scanner.ring:
        line = np.arange(size) - (size - 1) / 2
        radius = np.asarray(np.hypot(line[:, None], line[None, :]), dtype=np.intp)
        profile = np.asarray(rng.standard_normal(size, dtype=np.float32))
        profile *= rng.random(size) < 0.12
        image += np.float32(scanner.ring) * profile[radius]
    return np.rint(np.clip(image, *CT_RANGE)).astype(np.float32)


def colour(
    image: Grid, scanner: Scanner, spacing_mm: Spacing, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Turn an RGB picture (rows, columns, 3) of 0..1 into uint8."""
    size = image.shape[0]
    planes = [_sharpness(np.asarray(image[:, :, i]), scanner, spacing_mm) for i in range(3)]
    image = _tone(np.stack(planes, axis=2) * np.array(scanner.tint, dtype=np.float32), scanner)
    if scanner.bias:
        line = np.linspace(-1, 1, size, dtype=np.float32)
        off = np.float32(rng.uniform(-0.2, 0.2))
        fall = np.square(line[:, None] - off) + np.square(line[None, :] + off)
        image = image * (1 - np.float32(scanner.bias * 0.6) * fall)[:, :, None]
    noise = rng.standard_normal((size, size, 1), dtype=np.float32)
    image = image + np.float32(scanner.noise) * noise * (0.25 + image)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
