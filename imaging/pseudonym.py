"""Stable pseudonyms from a local secret. Knows no DICOM."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from overread.imaging.errors import ConfigError

_SECRET_BYTES = 32
_MAX_SHIFT_DAYS = 3650


class Pseudonymiser:
    """Names patients, studies and instances so that only the holder of the secret can link them.

    HMAC-SHA256 (RFC 2104) keyed by a random secret that never leaves the data folder: the same
    input gives the same pseudonym here, and nothing can be guessed from it elsewhere.

    Args:
        secret_path: 32 random bytes, mode 0600; made when absent.

    Raises:
        ConfigError: The secret cannot be made or read, or has a wrong length.
    """

    def __init__(self, secret_path: Path) -> None:
        """Load the secret, or make it."""
        self._path = secret_path
        self._key = _load_or_make(secret_path)

    def __repr__(self) -> str:
        """Never show the key."""
        return "Pseudonymiser()"

    def __reduce__(self) -> tuple[type["Pseudonymiser"], tuple[Path]]:
        """Go to another process as the path: the key itself is never written anywhere else."""
        return Pseudonymiser, (self._path,)

    def patient(self, identity: str) -> str:
        """Return `pt-` and 10 hex digits."""
        return f"pt-{self._digest('patient', identity)[:10]}"

    def study(self, identity: str) -> str:
        """Return `st-` and 12 hex digits."""
        return f"st-{self._digest('study', identity)[:12]}"

    def series(self, identity: str) -> str:
        """Return `se-` and 8 hex digits."""
        return f"se-{self._digest('series', identity)[:8]}"

    def instance(self, identity: str) -> str:
        """Return `im-` and 10 hex digits."""
        return f"im-{self._digest('instance', identity)[:10]}"

    def uid(self, uid: str) -> str:
        """Return a UUID-derived UID (DICOM PS3.5, B.2) that replaces `uid` wherever it occurs."""
        return f"2.25.{int(self._digest('uid', uid)[:32], 16)}"

    def days(self, identity: str) -> int:
        """Return how many days to move this patient's dates back, 1 to 3650; intervals survive."""
        return 1 + int(self._digest("days", identity)[:8], 16) % _MAX_SHIFT_DAYS

    def _digest(self, purpose: str, identity: str) -> str:
        message = f"{purpose}\0{identity}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


def _load_or_make(path: Path) -> bytes:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The pseudonym secret {path} cannot be used: {error.strerror}."
        ) from error
    if len(key) != _SECRET_BYTES:
        raise ConfigError(
            f"The pseudonym secret {path} has {len(key)} bytes instead of {_SECRET_BYTES}; "
            "restore it from a backup, or delete it to start with new pseudonyms."
        )
    return key


def _make(path: Path) -> None:
    """Write a new secret; of two processes at once the first wins (a link never overwrites)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
