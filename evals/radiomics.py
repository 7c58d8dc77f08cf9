"""Radiomic features of a whole picture: what its grey levels and textures are, as numbers.

First-order statistics, grey-level co-occurrence (skimage) and run lengths, of the picture and of
its Laplacians of Gaussian. They follow the definitions of the IBSI where these exist, in two
dimensions and over the whole picture; they are not the features of pyradiomics, and their values
cannot be compared with its.

Source: Zwanenburg et al., The Image Biomarker Standardization Initiative, Radiology 295:328 (2020).
"""

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy.ndimage import gaussian_laplace
from scipy.stats import entropy, kurtosis, skew
from skimage.feature import graycomatrix, graycoprops

from overread.imaging.render import to_view
from overread.imaging.study import Image

SIDE = 256
"""Pixels of the longer side of the picture that is looked at."""

LEVELS = 32
SIGMAS = (1.0, 2.0, 4.0)
"""Of the Laplacians of Gaussian, in pixels of that picture."""

_REACHES = (1, 4)
_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_TEXTURES = (
    "contrast", "dissimilarity", "homogeneity", "ASM", "correlation", "variance", "entropy",
)  # fmt: skip
_RUNS = (
    "short runs", "long runs", "grey-level non-uniformity", "run-length non-uniformity",
    "run share", "low grey-level runs", "high grey-level runs", "run entropy",
)  # fmt: skip
_FIRST_ORDER = (
    "mean", "deviation", "skewness", "kurtosis", "median", "10th percentile", "90th percentile",
    "interquartile range", "mean absolute deviation", "root mean square", "entropy", "uniformity",
)  # fmt: skip

Grey = NDArray[np.float64]
Levels = NDArray[np.uint8]


def names() -> list[str]:
    """Return the names of the features, in the order of `features`."""
    filters = ["original", *(f"LoG {sigma:g}" for sigma in SIGMAS)]
    textures = [f"GLCM {name} at {reach}" for name in _TEXTURES for reach in _REACHES]
    own = [*_FIRST_ORDER, *textures, *(f"GLRLM {name}" for name in _RUNS)]
    return [f"{one} {name}" for one in filters for name in own]


def features(image: Image) -> NDArray[np.float64]:
    """Return the features of an image under its own window, (features,)."""
    picture = PIL.Image.fromarray(to_view(image)).convert("L")
    factor = SIDE / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    grey = np.asarray(picture.resize(size, PIL.Image.Resampling.BICUBIC), np.float64)
    found = [_of(grey, 0.0, 255.0)]
    for sigma in SIGMAS:
        # Scaled by the square of sigma, so that an edge answers alike at every scale.
        found.append(_of(sigma**2 * gaussian_laplace(grey, sigma), -128.0, 128.0))
    return np.concatenate(found)


def _of(grey: Grey, low: float, high: float) -> NDArray[np.float64]:
    share = (np.clip(grey, low, high) - low) / (high - low)
    levels = np.minimum((share * LEVELS).astype(np.uint8), LEVELS - 1)
    return np.nan_to_num(
        np.array([*_first_order(grey, levels), *_textures(levels), *_runs(levels)])
    )


def _first_order(grey: Grey, levels: Levels) -> list[float]:
    low, first, median, third, high = np.percentile(grey, (10, 25, 50, 75, 90))
    mean = grey.mean()
    share = np.bincount(levels.ravel(), minlength=LEVELS) / levels.size
    flat = grey.std() < 1e-9  # neither leaning nor tailed, rather than undefined
    return [
        mean, grey.std(), 0.0 if flat else skew(grey, axis=None),
        0.0 if flat else kurtosis(grey, axis=None), median, low, high, third - first,
        np.abs(grey - mean).mean(), np.sqrt((grey**2).mean()), entropy(share, base=2),
        (share**2).sum(),
    ]  # fmt: skip


def _textures(levels: Levels) -> list[float]:
    """Return properties of the co-occurrence at each reach, averaged over four directions."""
    pairs = graycomatrix(levels, _REACHES, _ANGLES, LEVELS, symmetric=True, normed=True)
    return [value for name in _TEXTURES for value in graycoprops(pairs, name).mean(axis=1)]


def _runs(levels: Levels) -> list[float]:
    """Return properties of the run lengths, averaged over four directions."""
    directions = (levels, levels.T, _sheared(levels), _sheared(levels[:, ::-1]))
    return list(
        np.mean([_of_runs(run_lengths(lines), levels.size) for lines in directions], axis=0)
    )


def run_lengths(lines: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count the runs of equal values along the rows, (LEVELS, longest): by value and length - 1.

    Args:
        lines: Values below LEVELS; -1 is no value and ends a run.

    >>> counts = run_lengths(np.array([[1, 1, 2], [2, -1, 2]]))
    >>> int(counts[1, 1]), int(counts[2, 0])
    (1, 3)
    """
    padded = np.full((lines.shape[0], lines.shape[1] + 1), -1, np.int64)
    padded[:, :-1] = lines
    flat = padded.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-2))
    lengths = np.diff(starts, append=flat.size)
    values = flat[starts]
    counts = np.zeros((LEVELS, lines.shape[1]), np.int64)
    real = values >= 0
    np.add.at(counts, (values[real], lengths[real] - 1), 1)
    return counts


def _sheared(levels: Levels) -> NDArray[np.int64]:
    """Return the falling diagonals as rows, -1 where there is nothing."""
    rows, columns = levels.shape
    out = np.full((rows + columns - 1, rows), -1, np.int64)
    at = np.arange(rows)[:, None]
    out[np.arange(columns)[None] - at + rows - 1, at] = levels
    return out


def _of_runs(counts: NDArray[np.int64], pixels: int) -> list[float]:
    total = counts.sum()
    length = np.arange(1, counts.shape[1] + 1, dtype=np.float64)
    level = np.arange(1, LEVELS + 1, dtype=np.float64)
    by_length, by_level = counts.sum(axis=0), counts.sum(axis=1)
    return [
        (by_length / length**2).sum() / total, (by_length * length**2).sum() / total,
        (by_level**2).sum() / total**2, (by_length**2).sum() / total**2, total / pixels,
        (by_level / level**2).sum() / total, (by_level * level**2).sum() / total,
        entropy(counts.ravel() / total, base=2),
    ]  # fmt: skip
