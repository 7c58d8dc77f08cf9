"""Replies kept on disk under a hash of everything that decides them. JSON, never pickle."""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from overread.evals.items import Item
from overread.evals.subjects.base import Reply, Subject

VERSION = 1


def reply_key(subject: Subject, item: Item, prompt: str, seed: int) -> str:
    """Return the SHA-256 under which a reply is kept.

    Of the subject's identity (model, weights, prompts, settings), the item's images and question,
    its kind and options, the prompt and the seed.
    """
    asked = [
        VERSION, subject.identity, item.fingerprint(), item.kind, item.options, prompt, seed,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class ReplyCache:
    """A folder of replies, one file each."""

    def __init__(self, root: Path) -> None:
        """Keep files below `root`, which is created on the first `put`."""
        self._root = root

    def get(self, key: str) -> Reply | None:
        """Return a reply; None when it was never kept, or a file that it names is gone."""
        try:
            kept: dict[str, Any] = json.loads(self._path(key).read_text("utf-8"))
            reply = Reply(
                **kept
                | {
                    "evidence": tuple(kept["evidence"]),
                    "files": {name: Path(path) for name, path in kept["files"].items()},
                }
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return reply if all(path.is_file() for path in reply.files.values()) else None

    def put(self, key: str, reply: Reply) -> None:
        """Keep a reply; a reader never sees half of it."""
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = asdict(reply) | {"files": {name: str(path) for name, path in reply.files.items()}}
        with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False) as file:
            json.dump(kept, file)
        os.replace(file.name, target)

    def _path(self, key: str) -> Path:
        return self._root / key[:2] / f"{key}.json"
