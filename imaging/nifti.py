"""Read NIfTI volumes as axial slices, anterior up and patient left on the picture's right."""

import gzip
import math
from io import BufferedIOBase
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from overread.imaging import loose
from overread.imaging.errors import UnreadableImage
from overread.imaging.limits import check_finite, check_size, reading
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import Pixels, Study

MAX_HEADER_BYTES = 64 * 1024**2
"""Most bytes before the voxels: a gzip bomb in the extensions stops here."""

_MAX_INFLATION = 1100
"""Deflate cannot do more than 1032 to 1 (zlib's technical details)."""

_NIFTI2_HEADER = 540
_TO_MM = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}


def read(path: Path, pseudonymiser: Pseudonymiser) -> Study:
    """Read a `.nii` or `.nii.gz` file; a fourth dimension becomes further frames.

    `Series.affine` maps (column, row, slice) of the slices read to patient RAS+ in mm, so a mask
    stacked in that order can be saved with it as NIfTI.

    Raises:
        UnreadableImage: Damaged, over a limit, not real-valued, or with voxels that are not finite.
    """
    with reading(path, "NIfTI"), _stream(path) as stream:
        kind = _check_header(path, stream)
        source = kind.from_stream(stream)
        shape = _shape(source.shape)
        if source.get_data_dtype().kind == "c":
            raise UnreadableImage(f"{path} holds complex voxels; save the magnitude.")
        volume = nibabel.as_closest_canonical(
            source.__class__(_voxels(source).reshape(shape), source.affine, source.header)
        )
        array = np.asanyarray(volume.dataobj)
        if array.dtype.names is None:
            array = array.astype(np.float32, copy=False)
            check_finite(path, array)
        scale = _TO_MM.get(volume.header.get_xyzt_units()[0], 1.0)
        affine = np.diag([scale, scale, scale, 1.0]) @ volume.affine
        across, down, through = (np.abs(np.linalg.norm(affine[:3, axis])) for axis in range(3))
        known = all(np.isfinite(v) and 1e-6 < v < 1e3 for v in (across, down, through))
        return loose.study(
            path,
            pseudonymiser,
            _slices(array),
            {"format": "NIfTI", "shape": [int(n) for n in source.shape]},
            spacing_mm=(float(down), float(across)) if known else None,
            view="axial" if shape[2] > 1 else None,
            slice_spacing_mm=float(through) if known and shape[2] > 1 else None,
            affine=affine @ _flip(array.shape[:2]),
        )


def _stream(path: Path) -> BufferedIOBase:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _check_header(path: Path, stream: BufferedIOBase) -> type[nibabel.Nifti1Image]:
    """Check the dimensions from the header alone, before nibabel follows its offsets.

    Returns:
        The class for NIfTI-1 or NIfTI-2, by the stated header size.
    """
    start = stream.read(_NIFTI2_HEADER)
    stream.seek(0)
    sizes = {int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")}
    kind = nibabel.Nifti2Image if _NIFTI2_HEADER in sizes else nibabel.Nifti1Image
    parser = kind.header_class
    header = parser(start[: parser.template_dtype.itemsize], check=False)
    shape = header.get_data_shape()
    if not 2 <= len(shape) <= 4:
        raise UnreadableImage(f"{path} has {len(shape)} dimensions; we read 2 to 4.")
    columns, rows, slices, times = (*_shape(shape), 1)[:4]
    check_size(path, rows, columns, slices * times)
    if not 0 <= header.get_data_offset() <= MAX_HEADER_BYTES:
        raise UnreadableImage(f"{path} states a header beyond {MAX_HEADER_BYTES:,} bytes.")
    needed = math.prod(shape) * header.get_data_dtype().itemsize
    if needed > path.stat().st_size * _MAX_INFLATION:
        raise UnreadableImage(f"{path} is truncated: it cannot hold {needed:,} bytes of voxels.")
    return kind


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return at least three dimensions: a picture is a volume of one slice."""
    return tuple(int(n) for n in (*shape, 1)[: max(3, len(shape))])


def _voxels(source: nibabel.Nifti1Image) -> NDArray:
    """Return the scaled voxels, RGB ones as they are."""
    if source.get_data_dtype().names:
        return np.asanyarray(source.dataobj)
    return source.get_fdata(dtype=np.float32, caching="unchanged")


def _slices(array: NDArray) -> list[Pixels]:
    """Cut (right, anterior, superior[, time]) into pictures (rows down, columns to the left)."""
    turned = array[::-1, ::-1].swapaxes(0, 1)
    flat = turned.reshape(*turned.shape[:2], -1, order="F")
    pictures = (flat[:, :, n] for n in range(flat.shape[2]))
    if array.dtype.names is None:
        return [np.ascontiguousarray(p, dtype=np.float32) for p in pictures]
    return [loose.as_pixels(np.stack([p[c] for c in "RGB"], axis=-1)) for p in pictures]


def _flip(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Map (column, row) of our pictures to indices of the canonical array."""
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0])
    matrix[:2, 3] = shape[0] - 1, shape[1] - 1
    return matrix
