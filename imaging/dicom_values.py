"""Tolerant access to attributes of a DICOM dataset: what cannot be parsed is absent."""

from typing import Any

import numpy as np
from pydicom import Dataset


def value(dataset: Dataset, keyword: str) -> Any:
    """Return an attribute, or None when it is absent, empty or malformed."""
    try:
        found = dataset.get(keyword)
    except Exception:  # noqa: BLE001  pydicom converts on access, and raises anything
        return None
    return None if found == "" else found


def text(dataset: Dataset, keyword: str) -> str:
    """Return an attribute as text without padding, "" when absent."""
    found = value(dataset, keyword)
    return "" if found is None else str(found).strip(" \0")


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Return an attribute, single or multiple, as finite floats; [] when it is not that."""
    return as_numbers(value(dataset, keyword))


def as_numbers(found: Any) -> list[float]:
    """Return a value, single or multiple, as finite floats; [] when it is not that.

    >>> as_numbers("2.5"), as_numbers([1, 2]), as_numbers(None), as_numbers("2,5")
    ([2.5], [1.0, 2.0], [], [])
    """
    if found is None or found == "":
        return []
    values = [found] if isinstance(found, (str, int, float)) else found
    try:
        converted = [float(v) for v in values]
    except (TypeError, ValueError):
        return []
    return converted if np.isfinite(converted).all() else []


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence, [] when it is absent or no sequence."""
    found = value(dataset, keyword)
    return [item for item in found if isinstance(item, Dataset)] if hasattr(found, "append") else []


def functional(dataset: Dataset, frame: int, group: str, keyword: str) -> Any:
    """Return an attribute of an enhanced multi-frame image, of this frame or shared, or None.

    Source: DICOM PS3.3, C.7.6.16 (Multi-frame Functional Groups).
    """
    per_frame = items(dataset, "PerFrameFunctionalGroupsSequence")[frame : frame + 1]
    shared = items(dataset, "SharedFunctionalGroupsSequence")[:1]
    for item in [*per_frame, *shared]:
        for macro in items(item, group)[:1]:
            if (found := value(macro, keyword)) is not None:
                return found
    return None
