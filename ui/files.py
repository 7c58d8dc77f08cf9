"""Files of the user's: written whole or not at all, and cleared away when they are old."""

import time
from pathlib import Path

from overread.imaging.errors import ConfigError
from overread.imaging.files import ORDINARY, write_whole


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

    For what a killed app left behind: a running one clears up after itself.
    """
    limit = time.time() - older_than_s
    old = [file for file in folder.rglob("*") if file.is_file() and file.lstat().st_mtime < limit]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)
