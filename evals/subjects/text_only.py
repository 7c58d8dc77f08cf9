"""Any subject without the images: what it still gets right, the benchmark gives away in words."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from overread.evals.items import Item
from overread.evals.subjects.base import Reply, Subject


class TextOnly:
    """Asks another subject with the images removed."""

    def __init__(self, inner: Subject) -> None:
        """Wrap a subject."""
        self._inner = inner
        self.name = "text-only" if inner.name == "bare" else f"text-only {inner.name}"
        self.identity: Mapping[str, Any] = {"kind": "text-only", "inner": dict(inner.identity)}

    async def answer(self, item: Item, prompt: str, seed: int) -> Reply:
        """As `Subject.answer`."""
        return await self._inner.answer(replace(item, images=()), prompt, seed)

    async def close(self) -> None:
        """Close the subject within."""
        await self._inner.close()
