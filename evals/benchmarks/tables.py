"""Tables as benchmarks ship them: JSON, JSON Lines, CSV, TSV, Parquet, datasets' Arrow files."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.imaging.errors import InputError

if TYPE_CHECKING:
    import pyarrow

Row = dict[str, Any]
_BATCH = 64  # rows; an embedded image may have megabytes


@dataclass(frozen=True, slots=True)
class Table:
    """One file of rows.

    Attributes:
        path: The file.
        columns: Names that at least one row has.
        rows: Reads the rows in order; `_file` and `_folder` are added to each.
    """

    path: Path
    columns: frozenset[str]
    rows: Callable[[], Iterator[Row]]


def open_table(path: Path) -> Table:
    """Open a table. What kind it is, its suffix says.

    Raises:
        InputError: The file cannot be read or does not hold rows; also while reading its rows.
    """
    if path.suffix in (".parquet", ".arrow"):
        return _columnar(path)
    readers = {".json": _json, ".jsonl": _json_lines, ".csv": _csv, ".tsv": _csv}
    if path.suffix not in readers:
        raise InputError(
            f"{path} is not a table we read; give .json, .jsonl, .csv, .tsv, .parquet or .arrow"
        )
    try:
        rows = readers[path.suffix](path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, RecursionError) as error:
        raise InputError(f"the table {path} cannot be read: {error}") from error
    names = frozenset(name for row in rows for name in row)
    return Table(path, names | _PSEUDO, lambda: (row | _origin(path) for row in rows))


_PSEUDO = frozenset({"_file", "_folder"})


def _origin(path: Path) -> Row:
    return {"_file": path.stem, "_folder": path.parent.name}


def _json(path: Path) -> list[Row]:
    return _objects(json.loads(path.read_text(encoding="utf-8-sig")))


def _json_lines(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig") as file:
        return _objects([json.loads(line) for line in file if line.strip()])


def _objects(value: Any) -> list[Row]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError("expected a list of objects, one an item")
    return value


def _csv(path: Path) -> list[Row]:
    csv.field_size_limit(
        min(sys.maxsize, 2**31 - 1)
    )  # captions may be long; the default is 128 KiB
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        rows = []
        for row in reader:
            if None in row or None in row.values():
                wanted = len(reader.fieldnames or ())
                raise ValueError(f"line {reader.line_num} does not have {wanted} columns")
            rows.append(row)
    return rows


def _columnar(path: Path) -> Table:
    import pyarrow as pa
    from pyarrow import ipc, parquet

    try:
        if path.suffix == ".parquet":
            names = parquet.read_schema(path).names
        else:
            with pa.memory_map(str(path)) as source, ipc.open_stream(source) as stream:
                names = stream.schema.names
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"the table {path} cannot be read: {error}") from error
    return Table(path, frozenset(names) | _PSEUDO, lambda: _columnar_rows(path))


def _columnar_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa

    origin = _origin(path)
    try:
        for batch in _batches(path):
            for row in batch.to_pylist():
                yield row | origin
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"the table {path} cannot be read: {error}") from error


def _batches(path: Path) -> Iterator["pyarrow.RecordBatch"]:
    import pyarrow as pa
    from pyarrow import ipc, parquet

    if path.suffix == ".parquet":
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_BATCH)
        return
    with pa.memory_map(str(path)) as source, ipc.open_stream(source) as stream:
        for batch in stream:
            for start in range(0, batch.num_rows, _BATCH):
                yield batch.slice(start, _BATCH)
