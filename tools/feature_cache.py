"""Features of the last few pictures, so that several prompts on one picture cost one pass."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from overread.imaging.study import Image, Pixels

T = TypeVar("T")
_KEPT = 4


class FeatureCache(Generic[T]):
    """What was computed from the pictures seen last."""

    def __init__(self) -> None:
        """Start empty."""
        self._kept: OrderedDict[tuple[object, ...], tuple[Pixels, T]] = OrderedDict()
        self._lock = Lock()

    def of(self, image: Image, compute: Callable[[], T]) -> T:
        """Return what `compute` gave for this very image and window; two threads may both compute."""
        key = (id(image.pixels), image.window, image.inverted)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][1]
        found = compute()
        with self._lock:
            self._kept[key] = (image.pixels, found)  # holding the pixels keeps their id from reuse
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found
