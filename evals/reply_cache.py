"""Replies of subjects, kept under everything that decides them."""

from dataclasses import asdict
from pathlib import Path

from overread.evals.items import Item
from overread.evals.kept import Kept, key_of
from overread.evals.subjects.base import Reply, Subject

VERSION = 1


def reply_key(subject: Subject, item: Item, prompt: str, seed: int) -> str:
    """Return the SHA-256 under which a reply is kept.

    Of the subject's identity (model, weights, prompts, settings), the item's images and question,
    its kind and options, the prompt and the seed.
    """
    return key_of(
        VERSION, subject.identity, item.fingerprint(), item.kind, item.options, prompt, seed
    )


class ReplyCache:
    """A folder of replies."""

    def __init__(self, root: Path) -> None:
        """Keep files below `root`, which is created on the first `put`."""
        self._kept = Kept(root)

    def get(self, key: str) -> Reply | None:
        """Return a reply; None when it was never kept, or a file that it names is gone."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        try:
            files = {name: Path(path) for name, path in kept["files"].items()}
            more = {"evidence": tuple(kept["evidence"]), "files": files}
            if (boxes := kept.get("boxes")) is not None:
                more["boxes"] = tuple(tuple(box) for box in boxes)
            if (ranking := kept.get("ranking")) is not None:
                more["ranking"] = tuple(ranking)
            reply = Reply(**kept | more)
        except (AttributeError, KeyError, TypeError):
            return None
        return reply if all(path.is_file() for path in files.values()) else None

    def put(self, key: str, reply: Reply) -> None:
        """Keep a reply; a reader never sees half of it."""
        files = {name: str(path) for name, path in reply.files.items()}
        self._kept.put(key, asdict(reply) | {"files": files})
