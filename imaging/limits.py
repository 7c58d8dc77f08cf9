"""What we refuse to read, and the one place where a parser's failure becomes our error."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread.imaging.errors import OverreadError, UnreadableImage

_PARSERS = ("pydicom", "pylibjpeg", "nibabel", "PIL", "libav")

MAX_FILE_BYTES = 2 * 1024**3
"""Largest file we open (2 GiB)."""

MAX_PIXELS = 100_000_000
"""Largest single image, rows times columns; a mammogram has 20 million, a hostile PNG 900."""

MAX_FRAMES = 5_000
"""Most slices, pages or frames of one file."""

MAX_VOXELS = 500_000_000
"""Most pixels of one file over all its frames (2 GB as float32)."""


def check_file(path: Path) -> None:
    """Refuse a path that is not a regular, non-empty file of a bearable size.

    Raises:
        UnreadableImage: One sentence saying which.
    """
    try:
        if not path.exists():
            raise UnreadableImage(f"{path} does not exist; check the path.")
        if not path.is_file():
            raise UnreadableImage(f"{path} is not a regular file; give a file or a folder.")
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise UnreadableImage(f"{path} cannot be opened; check its permissions.") from error
    if size == 0:
        raise UnreadableImage(f"{path} is empty (0 bytes); copy the file again.")
    if size > MAX_FILE_BYTES:
        raise UnreadableImage(
            f"{path} has {size / 1024**3:.1f} GiB; the limit is {MAX_FILE_BYTES / 1024**3:.0f} GiB."
        )


def check_size(path: Path, rows: int, columns: int, frames: int = 1) -> None:
    """Refuse dimensions that no decoder should be asked to allocate. Call it before decoding.

    Raises:
        UnreadableImage: A dimension is not positive or a limit is passed.
    """
    if rows < 1 or columns < 1 or frames < 1:
        raise UnreadableImage(
            f"{path} states an image of {rows} x {columns} x {frames}; no pixels."
        )
    if rows * columns > MAX_PIXELS:
        raise UnreadableImage(
            f"{path} states {rows} x {columns} pixels; the limit is {MAX_PIXELS:,} per image, so "
            "make it smaller."
        )
    if frames > MAX_FRAMES:
        raise UnreadableImage(f"{path} states {frames:,} frames; the limit is {MAX_FRAMES:,}.")
    if rows * columns * frames > MAX_VOXELS:
        raise UnreadableImage(
            f"{path} states {rows} x {columns} x {frames} voxels; the limit is {MAX_VOXELS:,}."
        )


def check_finite(path: Path, pixels: NDArray[np.number]) -> None:
    """Refuse NaN and infinity: every later measurement would silently be wrong.

    Raises:
        UnreadableImage: A value is not finite.
    """
    if not np.isfinite(pixels).all():
        raise UnreadableImage(
            f"{path} holds voxels that are not finite (NaN or infinity); fill them in first."
        )


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a parser throws at hostile bytes into `UnreadableImage`, and keep it quiet.

    Parsers quote header values, which may identify: so the original exception is not chained, and
    the parsers' own logs and warnings are off.

    Args:
        path: Named in the message.
        kind: "DICOM", "PNG", ...

    Raises:
        UnreadableImage: The block raised anything but an error of ours.
    """
    for library in _PARSERS:
        logger = logging.getLogger(library)
        if logger.level != logging.CRITICAL:  # setting it forgets what every logger has cached
            logger.setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", module=library)
    try:
        yield
    except OverreadError:
        raise
    except MemoryError:
        raise UnreadableImage(f"{path} needs more memory than this machine has.") from None
    except Exception:  # noqa: BLE001  decoders document no error types
        raise UnreadableImage(
            f"{path} is damaged or not a valid {kind} file; copy or export it again."
        ) from None
