"""Whose an uploaded file is, and whose a browser's session is; in memory, as Gradio's own books."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_REMEMBERED = 10_000


class Belongings:
    """Files by the users who uploaded them, session hashes by the user who came with them first."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._files: OrderedDict[str, set[str]] = OrderedDict()
        self._hashes: OrderedDict[str, str] = OrderedDict()
        self._arriving: list[float] = []

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """Know of an upload while it is on its way."""
        began = time.time()
        self._arriving.append(began)
        try:
            yield
        finally:
            self._arriving.remove(began)

    def since(self) -> float:
        """Return when the oldest upload that is on its way began, or now; seconds since 1970."""
        return min([time.time(), *self._arriving])

    def note(self, user: str, paths: Iterable[str]) -> None:
        """Remember that a user uploaded files."""
        for path in paths:
            self._files.setdefault(path, set()).add(user)
        while len(self._files) > _REMEMBERED:
            self._files.popitem(last=False)

    def owns(self, user: str, path: str) -> bool:
        """Whether a user uploaded that file."""
        return user in self._files.get(path, ())

    def release(self, user: str, path: str) -> bool:
        """Forget that a user uploaded that file; whether no other user did."""
        owners = self._files.get(path, set())
        was = user in owners
        owners.discard(user)
        if not owners:
            self._files.pop(path, None)
        return was and not owners

    def bound(self, session_hash: str, user: str) -> bool:
        """Whether a browser session is this user's; the first to use it owns it."""
        owner = self._hashes.setdefault(session_hash, user)
        while len(self._hashes) > _REMEMBERED:
            self._hashes.popitem(last=False)
        return owner == user
