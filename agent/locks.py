"""Hold something that one process at a time may work with."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from overread.imaging.errors import InputError


@contextmanager
def held(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock file; the kernel lets go of it when the process dies, however it dies.

    Args:
        path: Made if needed; its folder is there.
        busy: What to say when another holds it.

    Raises:
        InputError: Another holds it.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(busy) from error
        yield
