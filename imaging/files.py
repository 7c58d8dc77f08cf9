"""Files that are there whole or not at all, whatever ends the process that writes them; their hash."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600
"""Read and written by the owner alone."""

ORDINARY = 0o666
"""What any new file has; the umask, mostly 022, takes from it."""


def write_whole(path: Path, data: str | bytes, *, mode: int = PRIVATE) -> None:
    """Write a file, or leave the one that was there; see `open_whole`.

    Args:
        path: In a folder that exists.
        data: The content; text is written as UTF-8.
        mode: Of the file, less the umask.

    Raises:
        OSError: It cannot be written.
    """
    with open_whole(path, mode=mode) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def open_whole(path: Path, *, mode: int = PRIVATE) -> Iterator[BinaryIO]:
    """Open a file to write, which takes its name only when the block has ended well.

    Until then another name in the same folder holds what is written; of several writers the last
    to end wins. On any exception that other name is removed and the old file stays. A killed
    process leaves the old file, too, and may leave the other name, `.<random>.part`.

    Args:
        path: In a folder that exists. A link there is replaced, not followed.
        mode: Of the file, less the umask; an old file's mode is not kept.

    Raises:
        OSError: It cannot be written.
    """
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut may keep the name and lose the content
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):  # the first failure is the one to tell
            partial.unlink()
        raise


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_hash(paths: Iterable[Path]) -> str:
    """Return one SHA-256 over what is in several files, in their order; names do not matter."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(bytes.fromhex(file_hash(path)))
    return digest.hexdigest()
