"""Look at Chroma's graph files before its native code follows them: a wrong number there ends the process.

Layout: `saveIndex` of hnswlib as Chroma forked it. A folder of a collection holds `header.bin`, the elements
with their links on the lowest level (`data_level0.bin`), and the links above it (`link_lists.bin`).
"""

import struct
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<iQQQQQQiIQQQdQ")
_VERSION = 1
_WORD, _LABEL = 4, 8
_TRIES, _PAUSE_S = 4, 1.0
"""A graph that another process is writing is whole again soon."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What a search relies on.

    Attributes:
        count: Of elements. element: Bytes of one.
        entry, top: The element where a search begins, and its highest level.
        most, most_below: Links of one on a level above, and on the lowest.
    """

    count: int
    element: int
    entry: int
    top: int
    most: int
    most_below: int


def damaged(place: Path) -> str | None:
    """Return which of a Chroma folder's graphs cannot be followed, and why; None if all can.

    Args:
        place: Of an embedded Chroma; it may be empty or absent.
    """
    found = None
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_S)
        wrong = ((header.parent, _wrong(header.parent)) for header in place.glob("*/header.bin"))
        found = next((f"{folder.name}: {reason}" for folder, reason in wrong if reason), None)
        if found is None:
            break
    return found


def _wrong(folder: Path) -> str | None:
    content = (folder / "header.bin").read_bytes()
    if len(content) != _HEADER.size:
        return "header.bin has another length"
    version, first, room, count, element, label, data, top, entry, most, below, m, _, _ = (
        _HEADER.unpack(content)
    )
    if version != _VERSION:
        return None  # of a Chroma that we do not know; it reads its own files
    header = _Header(count, element, entry, top, most, below)
    told = (first, label, data, m, below)
    if told != (0, element - _LABEL, _WORD * (1 + below), most, 2 * most) or count > room:
        return "header.bin makes no sense"
    if not count:
        return None
    try:
        return _wrong_below(folder / "data_level0.bin", header) or _wrong_above(
            folder / "link_lists.bin", header
        )
    except (OSError, ValueError) as error:
        return str(error)


def _wrong_below(path: Path, header: _Header) -> str | None:
    """Check the elements: a number of links, two bytes of it; then as many numbers of elements."""
    words = header.element // _WORD
    if path.stat().st_size != header.count * header.element:
        return f"{path.name} has another length than header.bin says"
    rows = np.memmap(path, np.uint32, "r", shape=(header.count, words))
    links = np.asarray(rows[:, : 1 + header.most_below])
    if header.entry >= header.count or _astray(links, header.count, header.most_below):
        return f"{path.name} points at elements that are not there"
    return None


def _wrong_above(path: Path, header: _Header) -> str | None:
    """Check the levels above: for each element the bytes of its lists, then a list for each level."""
    content = np.fromfile(path, np.uint32)
    width = 1 + header.most
    starts = np.flatnonzero(content)
    lists, place, elements, levels = [], 0, 0, 0
    while elements < header.count:
        # Most elements are on the lowest level alone; a run of them is a run of zeros.
        after = np.searchsorted(starts, place)
        following = int(starts[after]) if after < len(starts) else len(content)
        elements += following - place
        place = following
        if elements >= header.count or place >= len(content):
            break
        size = int(content[place]) // _WORD
        if size % width or place + 1 + size > len(content):
            return f"{path.name} makes no sense"
        own = content[place + 1 : place + 1 + size].reshape(-1, width)
        lists.append(own)
        levels = len(own) if elements == header.entry else levels
        place, elements = place + 1 + size, elements + 1
    if elements != header.count or place != len(content):
        return f"{path.name} has another length than its lists"
    if levels != header.top:
        return f"{path.name} has other levels than header.bin says"
    if lists and _astray(np.concatenate(lists), header.count, header.most):
        return f"{path.name} points at elements that are not there"
    return None


def _astray(links: NDArray[np.uint32], count: int, most: int) -> bool:
    """Whether a list is too long or names an element that is not there; (n, 1 + most)."""
    sizes = links[:, 0] & 0xFFFF  # the rest of the word holds the mark of the deleted
    if (sizes > most).any():
        return True
    used = np.arange(most) < sizes[:, None]
    return bool((links[:, 1:][used] >= count).any())
