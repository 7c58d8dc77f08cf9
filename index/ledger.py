"""What a run has done and what it left out, on disk, so that the next run goes on from there."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from overread.imaging.errors import IndexMismatch
from overread.imaging.files import write_whole

FILE, QUARANTINE = "ingested.sqlite", "quarantine.jsonl"

_TABLES = """
CREATE TABLE IF NOT EXISTS done (
    key TEXT PRIMARY KEY, studies TEXT, images TEXT, found INTEGER, duplicates INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantined (path TEXT PRIMARY KEY, reason TEXT, source TEXT) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is not in the index, and why."""

    path: str
    reason: str


class Done(NamedTuple):
    """A unit that is in the index.

    Attributes:
        studies: Their ids.
        images: Ids of what the index holds of it, a series' pooled vector too.
        found: How many images were read. duplicates: How many of them double another study's.
    """

    studies: tuple[str, ...]
    images: tuple[str, ...]
    found: int
    duplicates: int


class Ledger:
    """Notes beside an index, readable by the owner alone; a killed process loses none of them.

    It saves work and decides nothing: what it calls done is looked up in the index before it is
    believed.

    Args:
        folder: Made when absent; None keeps the notes in memory.

    Raises:
        IndexMismatch: The notes are damaged.
    """

    def __init__(self, folder: Path | None) -> None:
        """Open or make the notes."""
        self._folder = folder
        path = ":memory:"
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = folder / FILE
            file.touch(mode=0o600)
            path = str(file)
        try:
            self._notes = sqlite3.connect(path)
            self._notes.execute("PRAGMA journal_mode=WAL")
            self._notes.execute("PRAGMA synchronous=NORMAL")
            self._notes.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            raise IndexMismatch(
                f"The notes {path} are damaged ({error}); delete that file and build again: what is "
                "indexed stays."
            ) from error

    def done(self, key: str) -> Done | None:
        """Return what a unit gave, if it is done."""
        found = self._notes.execute(
            "SELECT studies, images, found, duplicates FROM done WHERE key = ?", (key,)
        ).fetchone()
        if found is None:
            return None
        return Done(tuple(json.loads(found[0])), tuple(json.loads(found[1])), *found[2:])

    def note(
        self,
        done: Iterable[tuple[str, Done]],
        problems: Iterable[tuple[str, str]],
        source: str,
    ) -> None:
        """Write down, all or nothing, what became of some units.

        Args:
            done: Keys and what they gave.
            problems: Names and reasons.
            source: Where the problems were found.
        """
        with self._notes:
            self._notes.executemany(
                "INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?)",
                [
                    (key, json.dumps(it.studies), json.dumps(it.images), it.found, it.duplicates)
                    for key, it in done
                ],
            )
            self._notes.executemany(
                "INSERT OR REPLACE INTO quarantined VALUES (?, ?, ?)",
                [(name, reason, source) for name, reason in problems],
            )

    def settle(self, source: str, bad: Iterable[str]) -> None:
        """After a whole run keep of a source's quarantine only what was bad in that run."""
        with self._notes:
            before = self._notes.execute("SELECT path FROM quarantined WHERE source = ?", (source,))
            well = {path for (path,) in before} - set(bad)
            self._notes.executemany(
                "DELETE FROM quarantined WHERE path = ?", [(path,) for path in well]
            )

    def quarantined(self) -> list[Quarantined]:
        """Return the files left out by this run and earlier ones, by name."""
        rows = self._notes.execute("SELECT path, reason FROM quarantined ORDER BY path")
        return [Quarantined(*row) for row in rows]

    def close(self) -> None:
        """Write the quarantine as a list for people, and let go of the notes."""
        if self._folder is not None:
            lines = (json.dumps(asdict(entry)) + "\n" for entry in self.quarantined())
            write_whole(self._folder / QUARANTINE, "".join(lines))
        self._notes.close()
