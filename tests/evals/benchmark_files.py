"""Tiny files in the benchmarks' own formats, for the tests of their loaders."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from pyarrow import ipc, parquet


def png(shade: int, size: tuple[int, int] = (6, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size, shade).save(buffer, format="PNG")
    return buffer.getvalue()


def embedded(shade: int) -> dict[str, Any]:
    """As the hub stores an image in Parquet."""
    return {"bytes": png(shade), "path": f"{shade}.png"}


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def write_json(path: Path, rows: Any) -> Path:
    return write(path, json.dumps(rows))


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_arrow(path: Path, rows: list[dict[str, Any]]) -> Path:
    """As `Dataset.save_to_disk` of datasets does: the streaming format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    with path.open("wb") as file, ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return path


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
