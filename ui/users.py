"""The users file: names and bcrypt hashes of their passwords."""

import json
import re
from pathlib import Path

import bcrypt
from filelock import FileLock

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import write_whole

USERS_FILE = "users.json"
"""In the data folder."""

MIN_CHARS, MAX_BYTES = 12, 72
"""NIST SP 800-63B-4 asks for 15 where a password is all there is, and 8 beside a second factor; we
take 12. Bcrypt reads no more than 72 bytes."""

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_ROUNDS = 12
# Compared against when there is no such user, so that an answer takes as long.
_NOBODY = bcrypt.hashpw(b"nobody has this password", bcrypt.gensalt(_ROUNDS))


class Users:
    """Names and hashes in a file that its owner alone can read; read anew for every question."""

    def __init__(self, path: Path) -> None:
        """Use a file, which need not exist."""
        self._path = path
        self._lock = FileLock(path.with_suffix(".lock"))

    def names(self) -> list[str]:
        """Return all names.

        Raises:
            ConfigError: The file is damaged.
        """
        return sorted(self._read())

    def add(self, name: str, password: str) -> None:
        """Add a user, or give one a new password.

        Raises:
            InputError: The name or the password cannot be used.
            ConfigError: The file is damaged or cannot be written.
        """
        check_user(name)
        if len(password) < MIN_CHARS or len(password.encode()) > MAX_BYTES:
            raise InputError(
                f"a password has at least {MIN_CHARS} characters and at most {MAX_BYTES} bytes"
            )
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()
        with self._lock:
            self._write(self._read() | {name: hashed})

    def remove(self, name: str) -> None:
        """Take a user out; sessions of that user stay on disk.

        Raises:
            InputError: There is no such user.
        """
        with self._lock:
            known = self._read()
            if name not in known:
                raise InputError(f"there is no user '{name:.64}'")
            del known[name]
            self._write(known)

    def check(self, name: str, password: str) -> bool:
        """Whether this is the user's password; takes as long for a name that nobody has."""
        hashed = self._read().get(name)
        given = password.encode()[:MAX_BYTES]
        matches = bcrypt.checkpw(given, hashed.encode() if hashed else _NOBODY)
        return matches and hashed is not None and len(password.encode()) <= MAX_BYTES

    def _read(self) -> dict[str, str]:
        try:
            known = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigError(f"the users file {self._path} cannot be read: {error}") from error
        if not isinstance(known, dict):
            raise ConfigError(f"the users file {self._path} is damaged; add the users again")
        return known

    def _write(self, known: dict[str, str]) -> None:
        try:
            write_whole(self._path, json.dumps(known, indent=1))
        except OSError as error:
            raise ConfigError(
                f"the users file {self._path} cannot be written ({error.strerror})"
            ) from error


def check_user(name: str) -> str:
    """Return a user's name.

    Raises:
        InputError: It is not 1 to 64 letters, digits or one of `. _ @ + -`, led by a letter or digit.
    """
    if not _USER.fullmatch(name):
        raise InputError(
            f"'{name:.64}' is not a user name; use 1 to 64 letters, digits or . _ @ + -, "
            "the first a letter or a digit"
        )
    return name
