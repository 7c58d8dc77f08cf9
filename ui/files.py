"""Write a file of the user's whole or not at all."""

import os
import tempfile
from pathlib import Path

from overread.imaging.errors import ConfigError


def replace_file(target: Path, data: bytes) -> Path:
    """Write `data` to `target`, whose folder is made if needed, and return it.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be written ({error.strerror}); choose another --out"
        ) from error
    return target
