"""Files of the user's: written whole or not at all, and cleared away when they are read or old."""

import time
from contextlib import suppress
from pathlib import Path

from overread.imaging.errors import ConfigError
from overread.imaging.files import ORDINARY, write_whole

_CLOCKS_DIFFER_S = 0.05
"""A file system's clock ticks a few milliseconds behind ours."""


def replace_file(target: Path, data: bytes) -> Path:
    """Write `data` to `target`, whose folder is made if needed, and return it.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, data, mode=ORDINARY)
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be written ({error.strerror}); choose another --out"
        ) from error
    return target


def sweep(folder: Path, older_than_s: float) -> int:
    """Delete the files under a folder that were last written longer ago than that; say how many.

    For what a killed app left behind: a running one clears up after itself. Empty folders go, too.
    """
    limit = time.time() - older_than_s
    found = list(folder.rglob("*"))
    old = [file for file in found if file.is_file() and file.lstat().st_mtime < limit]
    for file in old:
        file.unlink(missing_ok=True)
    for below in sorted((path for path in found if path.is_dir()), reverse=True):
        _remove_empty(below)
    return len(old)


def discard(upload: Path) -> None:
    """Delete an uploaded file and the folder that Gradio made for it alone."""
    upload.unlink(missing_ok=True)
    _remove_empty(upload.parent)


def clear_unnamed(folder: Path, before: float) -> None:
    """Delete the temporary files of a folder of uploads that were last written before that.

    Gradio makes an empty one for each file of an upload button, and never looks at it again.

    Args:
        folder: Where uploads go.
        before: Seconds since 1970: when the oldest upload began that is still on its way, whose
            own temporary files must stay.
    """
    for file in folder.glob("tmp*"):
        with suppress(FileNotFoundError):
            if file.is_file() and file.lstat().st_mtime < before - _CLOCKS_DIFFER_S:
                file.unlink()


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # somebody else's upload of the same content is in it
        folder.rmdir()
