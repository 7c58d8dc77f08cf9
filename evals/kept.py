"""JSON kept on disk under hashes of everything that decides it. Never pickle."""

import hashlib
import json
from pathlib import Path
from typing import Any

from overread.imaging.files import write_whole


def key_of(*parts: Any) -> str:
    """Return the SHA-256 of JSON-able parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Kept:
    """A folder of JSON objects, one file each."""

    def __init__(self, root: Path) -> None:
        """Keep files below `root`, which is created on the first `put`."""
        self._root = root

    def get(self, key: str) -> dict[str, Any] | None:
        """Return an object; None when it was never kept or is damaged."""
        try:
            found = json.loads(self._path(key).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep an object; a reader never sees half of it."""
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(target, json.dumps(value))

    def _path(self, key: str) -> Path:
        return self._root / key[:2] / f"{key}.json"
