"""What a row holds under the names that a spec gives. Knows rows, not files."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from overread.evals.benchmarks.schema import Spec
from overread.evals.benchmarks.spelled import spelled
from overread.evals.benchmarks.tables import Row

_SEPARATOR = "/"
_ABSENT = ("", "nan", "none", "null")


def value(row: Row, column: str) -> Any:
    """Return a column's value, or None; "a.0.b" leads into nested values.

    >>> value({"turns": [{"text": "Why?"}]}, "turns.0.text")
    'Why?'
    """
    if column in row:
        return row[column]
    found: Any = row
    for step in column.split("."):
        if isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return None
    return found


def text(row: Row, column: str) -> str:
    """Return a column's value as stripped text; "" if it is absent or not a number."""
    found = value(row, column)
    if found is None or (isinstance(found, float) and math.isnan(found)):
        return ""
    if isinstance(found, list | dict):
        return json.dumps(found, ensure_ascii=False, sort_keys=True, default=str)
    return str(found).strip()


def label(row: Row, columns: str | Sequence[str]) -> str:
    """Return the first of some columns that says something, e.g. for a slice or a cluster."""
    for column in (columns,) if isinstance(columns, str) else columns:
        found = text(row, column)
        if found.lower() not in _ABSENT:
            return found
    return ""


def pictures(
    row: Row, columns: Sequence[str], separator: str | None = None
) -> Iterator[str | bytes]:
    """Yield the images of a row, names or embedded bytes, out of texts, lists and structs."""
    for column in columns:
        for found in _pictures(value(row, column)):
            if separator and isinstance(found, str):
                yield from filter(None, map(str.strip, found.split(separator)))
            else:
                yield found


def _pictures(found: Any) -> Iterator[str | bytes]:
    if isinstance(found, str):
        found = spelled(found)
    if isinstance(found, bytes) or (isinstance(found, str) and found.strip()):
        yield found
    elif isinstance(found, dict):  # datasets' Image feature
        yield from _pictures(found.get("bytes") or found.get("path"))
    elif isinstance(found, list):
        for part in found:
            yield from _pictures(part)


def belongs(row: Row, spec: Spec, split: str) -> bool:
    """Tell whether a row is of the benchmark at all; see `Spec.where` and `Spec.present`."""
    if spec.split_column and split and text(row, spec.split_column) != split:
        return False
    if any(text(row, column) not in allowed for column, allowed in spec.where.items()):
        return False
    return not spec.present or any(label(row, column) for column in spec.present)


def identity(row: Row, spec: Spec) -> str:
    """Return a row's id: its own, or a hash of its content if it has none."""
    parts = [text(row, column) for column in spec.columns.id]
    if parts and all(parts):
        return _SEPARATOR.join(parts)
    digest = hashlib.sha256()
    columns = [spec.columns.question or "", *spec.columns.answer, *spec.columns.sections.values()]
    for column in (*columns, spec.options.column or "", *spec.options.columns):
        digest.update(text(row, column).encode() + b"\0")
    for picture in pictures(row, spec.columns.images):
        digest.update(picture if isinstance(picture, bytes) else picture.encode())
        digest.update(b"\0")
    return f"sha-{digest.hexdigest()[:16]}"


def is_hashed(item: str) -> bool:
    """Tell whether an id is a hash of content: then two of one id are the same item twice."""
    return item.startswith("sha-")
