"""Refuse to evaluate a model on what it was trained on, as far as its training manifest tells.

A manifest holds the fingerprints (`Item.fingerprint`) of the training items: one a line as 64 hex
digits, or JSON lines with a field "fingerprint". Lines that begin with # do not count.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from overread.evals.items import Item
from overread.imaging.errors import InputError

MANIFEST = "training-manifest.txt"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def manifests_beside(folders: Iterable[Path]) -> list[Path]:
    """Return the training manifests that lie beside weights."""
    found = (folder / MANIFEST for folder in folders)
    return [path for path in dict.fromkeys(found) if path.is_file()]


def read_manifest(path: Path) -> frozenset[str]:
    """Return the fingerprints of a manifest.

    Raises:
        InputError: It cannot be read, or a line is no fingerprint.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the training manifest {path} cannot be read: {error}") from error
    found: set[str] = set()
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        fingerprint = _fingerprint(text)
        if fingerprint is None:
            raise InputError(
                f"the training manifest {path}, line {number}, is no fingerprint: 64 hex digits, "
                'or JSON with a field "fingerprint", are expected'
            )
        found.add(fingerprint)
    return frozenset(found)


def _fingerprint(text: str) -> str | None:
    if text.startswith("{"):
        try:
            text = str(json.loads(text).get("fingerprint"))
        except ValueError:
            return None
    return text.lower() if _FINGERPRINT.fullmatch(text.lower()) else None


def contaminated(items: Sequence[Item], known: frozenset[str]) -> list[Item]:
    """Return the items that a manifest holds; one whose image is unreadable is none of them."""
    if not known:
        return []
    found: list[Item] = []
    for item in items:
        try:
            if item.fingerprint() in known:
                found.append(item)
        except OSError:  # the run records it as failed
            continue
    return found


def check(
    items: Sequence[Item], manifests: Sequence[Path], subject: str, allowed: bool
) -> list[Item]:
    """Return the items that the subject was trained on.

    Raises:
        InputError: There are some, and that is not allowed; or a manifest cannot be read.
    """
    known = frozenset[str]().union(*(read_manifest(path) for path in manifests))
    found = contaminated(items, known)
    if found and not allowed:
        raise InputError(
            f"{len(found)} of {len(items)} items are in the training manifest of {subject} "
            f"({', '.join(str(path) for path in manifests)}), for example {found[0].id}; its "
            "scores would tell what it remembers. Choose another split, or add "
            "--allow-contaminated"
        )
    return found
