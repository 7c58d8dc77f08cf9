"""The records of a run on disk: one JSON line each, written through before the next item counts.

inspect_ai's own logs do not serve here: its `.eval` file is rewritten every few samples and its
buffer of samples in flight is neither synced nor beside the log, so a killed process or machine
may lose samples that were scored.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from overread.agent.locks import held
from overread.evals.records import Record
from overread.imaging.errors import ConfigError, InputError

Key = tuple[str, int]
"""Item and epoch: what may be in a run once."""

FILE, LOCK = "records.jsonl", ".lock"


class Journal:
    """An append-only file of records. One process writes; a line is whole or it is not there."""

    def __init__(self, path: Path) -> None:
        """Read what is there and cut off a line that a killed process left unfinished.

        Raises:
            InputError: A line is not a record, or an item is there twice.
            ConfigError: The file cannot be written.
        """
        self._path = path
        try:
            self._file = path.open("ab+")
            self._file.seek(0)
            data = self._file.read()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                self._file.truncate(whole)
        except OSError as error:
            raise ConfigError(
                f"the records {path} cannot be written ({error.strerror}); choose another --out"
            ) from error
        self.records = {key_of(record): record for record in _parse(data[:whole], path)}

    def append(self, record: Record) -> None:
        """Write a record; when this returns it survives the end of the process and of the machine.

        Raises:
            ValueError: The item is already there.
            ConfigError: The disk is full or gone.
        """
        key = key_of(record)
        if key in self.records:
            raise ValueError(f"item {key[0]}, epoch {key[1]}, is already recorded")
        try:
            self._file.write(record.model_dump_json().encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ConfigError(
                f"the records {self._path} cannot be written ({error.strerror}); "
                "free some space and go on with --resume"
            ) from error
        self.records[key] = record

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def key_of(record: Record) -> Key:
    """Return what may be in a run once."""
    return record.item, record.epoch


def read_records(path: Path) -> list[Record]:
    """Return the records of a file, in the order of item and epoch; an unfinished line is left out.

    Raises:
        InputError: There is no such file, a line is not a record, or an item is there twice.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the records {path} cannot be read ({error.strerror})") from error
    return sorted(_parse(data[: data.rfind(b"\n") + 1], path), key=key_of)


def _parse(data: bytes, path: Path) -> list[Record]:
    records: list[Record] = []
    seen: set[Key] = set()
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            record = Record.model_validate_json(line)
        except ValidationError as error:
            raise InputError(
                f"{path}, line {number}, is not a record: {error.errors()[0]['msg']}"
            ) from error
        if key_of(record) in seen:
            raise InputError(
                f"{path}, line {number}: item {record.item}, epoch {record.epoch}, is there twice"
            )
        seen.add(key_of(record))
        records.append(record)
    return records


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a run's folder; the kernel lets go of it when the process dies, however it dies.

    Raises:
        InputError: Another process works in it.
    """
    busy = f"another process works in {folder}; wait for it, or choose another --out"
    with held(folder / LOCK, busy):
        yield
