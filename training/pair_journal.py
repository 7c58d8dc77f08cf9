"""What a run of `overread train pairs` has done so far: one line an example, written through.

A killed run goes on with the examples that have no line. A line holds the example's pairs and its
outcomes together, so that neither can be there without the other.
"""

import os
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ValidationError

from overread.imaging.errors import ConfigError, InputError
from overread.training.examples import Pair


class Head(BaseModel, frozen=True, extra="forbid"):
    """The first line: what decides the pairs; a run goes on only where all of it is the same."""

    model: str
    settings: dict[str, str | int | float | None]


class Done(BaseModel, frozen=True, extra="forbid"):
    """One example in all its forms.

    Attributes:
        example: "dataset:id".
        pairs: That it made.
        outcomes: How often what came out, e.g. {"direct: alone right": 1}.
    """

    example: str
    pairs: list[Pair]
    outcomes: dict[str, int]


class PairJournal:
    """An append-only file. One process writes; a line is whole or it is not there."""

    def __init__(self, path: Path, head: Head) -> None:
        """Open or begin a journal; a line that a killed process left unfinished is cut off.

        Raises:
            InputError: It was begun with another model or settings, or a line is wrong.
            ConfigError: It cannot be written.
        """
        self._path = path
        self.done: dict[str, Done] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("ab+")
            self._file.seek(0)
            data = self._file.read()
            whole = data.rfind(b"\n") + 1
            self._file.truncate(whole)
            if not whole:
                self._write(head)
                return
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from error
        self._read(data[:whole], head)

    def append(self, done: Done) -> None:
        """Write an example; when this returns it survives the end of the process and the machine.

        Raises:
            ValueError: It is already there.
            ConfigError: The disk is full or gone.
        """
        if done.example in self.done:
            raise ValueError(f"example {done.example} is already done")
        try:
            self._write(done)
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._path}: {error.strerror}; free some space and run it again"
            ) from error
        self.done[done.example] = done

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: Head | Done) -> None:
        self._file.write(line.model_dump_json().encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, data: bytes, head: Head) -> None:
        first, *rest = data.splitlines()
        try:
            before = Head.model_validate_json(first)
            for number, line in enumerate(rest, start=2):
                done = Done.model_validate_json(line)
                if done.example in self.done:
                    raise InputError(f"{self._path}, line {number}: {done.example} is there twice")
                self.done[done.example] = done
        except ValidationError as error:
            raise InputError(
                f"{self._path} is no journal of pairs: {error.errors()[0]['msg']}; choose another "
                "--out"
            ) from error
        if before != head:
            changed = "model" if before.model != head.model else _changed(before, head)
            raise InputError(
                f"{self._path} was begun with another {changed}; choose another --out, or remove it"
            )


def _changed(before: Head, head: Head) -> str:
    names = before.settings.keys() | head.settings.keys()
    return ", ".join(
        sorted(n for n in names if before.settings.get(n) != head.settings.get(n))
    ).replace("_", " ")
