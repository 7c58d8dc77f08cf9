"""Segmenters from MONAI bundles for volumes: the network sees the whole series of the image asked about.

The series becomes one grid with its place in the patient, as MONAI's own readers give it; the bundle's
steps turn and resample it, the network runs window by window, and a slice is read back from what it
found. One series is kept, so its further slices cost little.
"""

import hashlib
import sys
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from overread.imaging.archive import Archive
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.study import Image, ImageRef, Pixels
from overread.tools.grid import grid_of
from overread.tools.monai_bundle import Bundle
from overread.tools.monai_segmenter import MonaiSegmenter, probabilities

_WINDOW = 96
"""Side of a window where the bundle takes any, in voxels: what most networks for volumes learnt from."""
_OVERLAP = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What the network found in a series.

    Attributes:
        slices: References of the slices, in the order of the grid, and what tells their pixels: a study
            that was deleted may come again under the same reference with other ones.
        grid: Voxel indices (column, row, slice) of the series to mm in the patient, (4, 4).
        told: float16, (classes, x, y, z): probabilities on the network's own grid.
        own: Voxel indices of that to mm, (4, 4).
    """

    slices: dict[ImageRef, bytes]
    grid: NDArray[np.float64]
    told: NDArray[np.float16]
    own: NDArray[np.float64]


class MonaiVolumeSegmenter(MonaiSegmenter):
    """The network of a MONAI bundle with three spatial dimensions; it finds its own classes by name."""

    def __init__(self, bundle: Bundle, archive: Archive | None) -> None:
        """Load it.

        Args:
            bundle: What its files say.
            archive: Where the series of images are; without one no image can be segmented.

        Raises:
            ConfigError: As `build_network`.
        """
        super().__init__(bundle)
        self._archive = archive
        self._last: _Found | None = None
        self._lock = Lock()  # a volume takes minutes: nobody is to compute it twice at a time

    def _probability(self, image: Image, channel: int) -> NDArray[np.float32]:
        with self._lock:
            if self._last is None or self._last.slices.get(image.ref) != _digest(image.pixels):
                self._last = self._run(image.ref)
            found = self._last
        onto = np.linalg.inv(found.own) @ found.grid
        rows, columns, at = *image.shape, list(found.slices).index(image.ref)
        ends = [[x, y, at, 1.0] for x in (0, columns - 1) for y in (0, rows - 1)]
        part, first = _around((onto @ np.transpose(ends))[:3], found.told.shape[1:])
        read: NDArray[np.float32] = ndimage.affine_transform(
            found.told[channel][part].astype(np.float32),
            onto[:3, :3],
            (onto @ [0.0, 0.0, at, 1.0])[:3] - first,
            output_shape=(columns, rows, 1),
            order=1,
            mode="nearest",
        )
        return np.ascontiguousarray(read[..., 0].T.clip(0, 1))

    def _run(self, ref: ImageRef) -> _Found:
        from monai.data import MetaTensor

        if self._archive is None:
            raise InputError("a bundle for volumes needs an image of a stored series")
        grid = grid_of(self._archive, ref)
        data = MetaTensor(torch.from_numpy(grid.voxels)[None], affine=torch.from_numpy(grid.affine))
        for transform in self._transforms:
            data = transform(data)
        with torch.inference_mode():
            told = probabilities(self._windows(data.as_tensor().float()[None]), self._bundle)[0]
        own = np.asarray(data.affine, np.float64)
        slices = {one: _digest(grid.voxels[..., k].T) for k, one in enumerate(grid.refs)}
        return _Found(slices, grid.affine, told.to(torch.float16).numpy(), own)

    def _windows(self, data: torch.Tensor) -> torch.Tensor:
        """Run the network on (1, 1, x, y, z), window by window."""
        from monai.inferers import sliding_window_inference

        # -16 stands for multiples of 16, 1 for any size.
        sides = [
            want if want > 1 else max(1, _WINDOW // -want) * -want
            for want in (-1 if side == 1 else side for side in self._bundle.shape)
        ]
        found = sliding_window_inference(
            data, sides, 1, self._network, overlap=_OVERLAP, progress=sys.stderr.isatty()
        )
        if not isinstance(found, torch.Tensor):
            raise ConfigError(f"the bundle {self._bundle.name} gives more than one answer")
        return found


def _around(
    points: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], NDArray[np.int64]]:
    """Return the part of a grid that lies around points, (3, points), and the index where it begins."""
    last = np.array(shape) - 1
    first = np.clip(np.floor(points.min(axis=1)).astype(int), 0, last)
    end = np.clip(np.ceil(points.max(axis=1)).astype(int), 0, last) + 1
    return tuple(slice(low, high) for low, high in zip(first, end, strict=True)), first


def _digest(pixels: Pixels) -> bytes:
    return hashlib.sha256(np.asarray(pixels, np.float32).tobytes()).digest()
