"""Manifests: one row per image file with what is known of it. Knows files, not images."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overread.imaging.errors import InputError

SUFFIXES = frozenset({".csv", ".jsonl", ".parquet"})
PHANTOM = "phantom"
"""The source whose patients are invented, so that their ids need no pseudonym."""

_ALIASES = {"image": "path", "license": "licence"}
_TEXTS = (
    "report", "patient_id", "study_id", "modality", "body_part", "domain", "sex", "source",
    "licence",
)  # fmt: skip
_SEPARATORS = re.compile(r"[;|]")
_MISSING = frozenset({"", "nan", "none", "null"})


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One file; empty words where the manifest says nothing.

    Attributes:
        path: Absolute. labels: Lower case.
        report, patient_id, study_id, modality, body_part, domain, sex, source, licence, age:
            As in `CaseRecord`; the ids are as the manifest has them, not yet pseudonyms.
    """

    path: Path
    labels: tuple[str, ...] = ()
    report: str = ""
    patient_id: str = ""
    study_id: str = ""
    modality: str = ""
    body_part: str = ""
    domain: str = ""
    sex: str = ""
    source: str = ""
    licence: str = ""
    age: float | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why."""

    path: str
    reason: str


def read_manifest(path: Path) -> list[ManifestRow | BadRow]:
    """Read a manifest; columns `path` (or `image`), `labels`, `report`, `patient_id`, ...

    A relative path starts at the manifest's folder. Labels are a list, or one text parted by
    semicolons or bars. Columns that we do not know are ignored.

    Raises:
        InputError: The file cannot be read, or has no usable row.
    """
    home = path.parent.absolute()
    try:
        rows = [
            row_of(home, f"{path.name}, row {number}", fields)
            for number, fields in enumerate(_fields(path), start=1)
        ]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"The manifest {path} cannot be read: {error}") from error
    if not any(isinstance(row, ManifestRow) for row in rows):
        reason = rows[0].reason if rows and isinstance(rows[0], BadRow) else "it has no rows"
        raise InputError(f"The manifest {path} has no usable row: {reason}.")
    return rows


def _fields(path: Path) -> Iterable[dict[str, Any] | None]:
    """Yield the fields of each row; None for a row that is not an object."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file)
    elif path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as file:
            yield from (_object(line) for line in file if line.strip())
    elif path.suffix == ".parquet":
        yield from _parquet(path)
    else:
        raise ValueError("expected a .csv, .jsonl or .parquet file")


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise InputError(
            f"To read {path} install pyarrow, or save the manifest as .csv or .jsonl."
        ) from error
    try:
        yield from parquet.read_table(path).to_pylist()
    except ArrowException as error:
        raise ValueError(str(error)) from error


def row_of(home: Path, where: str, fields: dict[str, Any] | None) -> ManifestRow | BadRow:
    """Return what a row says, or why it cannot be used.

    Args:
        home: Where a relative path starts.
        where: What to call a row without a path.
        fields: By column; None for a row that is not an object.
    """
    if fields is None:
        return BadRow(where, "the row is not a JSON object")
    known = {_ALIASES.get(key, key): value for key, value in fields.items() if key is not None}
    name = _text(known.get("path"))
    if not name:
        return BadRow(where, "the row has no path")
    if "\0" in name:
        return BadRow(where, "the path has a null byte")
    try:
        age = float(known["age"]) if _text(known.get("age")) else None
    except (ValueError, TypeError):
        return BadRow(name, f"the age '{known['age']}' is not a number")
    return ManifestRow(
        path=home / name,
        labels=_labels(known.get("labels")),
        age=age,
        **{key: _text(known.get(key)) for key in _TEXTS},
    )


def _text(value: Any) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text.lower() in _MISSING else text


def _labels(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            value = value.strip(" []")
    parts = value if isinstance(value, list) else _SEPARATORS.split(_text(value))
    return tuple(dict.fromkeys(text.lower() for text in map(_text, parts) if text))
