"""Writes embedded cases to an index, in order, and notes what is done. Reads no files but to hash.

A case is done when the index holds it; beside the index lies a ledger that says so without reading
the files again.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from overread.imaging.archive import Archive
from overread.index.duplicates import Earlier
from overread.index.ledger import Done, Ledger, Quarantined
from overread.index.records import CaseRecord
from overread.index.store import CaseIndex
from overread.index.units import Unit
from overread.index.work import Finished

VERSION = 1
"""Of what is made of a file; another one makes ledgers forget what is done."""

_WRITTEN_AT_A_TIME, _WRITE_EVERY_S = 256, 10.0
"""Cases that are written together: a domain is a write of its own, and small ones cost most. A kill
loses what is not written, so it is written after some seconds, too."""

Duplicates = Literal["mark", "skip"]


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What became of everything that was found.

    Attributes:
        studies, images: Found and readable; a series' pooled vector is no image.
        added: Images newly indexed, or whose labels or report have changed.
        already: Images that were there before.
        duplicates: Images that nearly equal one of another study: marked, or left out.
        quarantined: Files left out; the list `quarantine.jsonl` has those of earlier runs, too.
    """

    studies: int
    images: int
    added: int
    already: int
    duplicates: int
    quarantined: tuple[Quarantined, ...]


class Writer:
    """Writes what the workers give, in order, and counts.

    Args:
        index: Added to, by this writer alone.
        archive: Asked whether it has the studies of what is done.
        ledger: Noted in.
        duplicates: What becomes of them.
        source: What the quarantine says they are from.
        towers: Identity of what embeds; others make anew what was done.
    """

    def __init__(
        self,
        index: CaseIndex,
        archive: Archive,
        ledger: Ledger,
        duplicates: Duplicates,
        source: str,
        towers: str,
    ) -> None:
        """Learn what the index holds."""
        self._index, self._archive, self._ledger = index, archive, ledger
        self._duplicate_rule, self._source = duplicates, source
        self._recipe = f"{VERSION} {towers} {duplicates}"
        marks = duplicates == "mark"
        self._earlier = Earlier(index.entries(), index.vectors_by_id, with_duplicates=marks)
        self._resumes = len(self._earlier) > 0
        self._studies: set[str] = set()
        self._bad: dict[str, str] = {}
        self._images = self._added = self._duplicates = self._units = 0
        self._waiting: list[Finished] = []
        self._written_at = time.monotonic()

    def not_done(self, units: Sequence[Unit]) -> Iterator[Unit]:
        """Yield the units that are to be worked on; count those that are done."""
        for unit in units:
            done = self._done(unit) if self._resumes else None
            if done is None:
                yield unit
            else:
                self._count(done, 0)

    def _done(self, unit: Unit) -> Done | None:
        """Return what the ledger knows of a unit if index and archive bear it out."""
        try:
            key = self._key(unit.content())
        except OSError:
            return None
        done = self._ledger.done(key)
        if done is None or not all(image in self._earlier for image in done.images):
            return None
        return done if all(study in self._archive for study in done.studies) else None

    @property
    def units(self) -> int:
        """How many units are done, or will be with the next write."""
        return self._units + len(self._waiting)

    def take(self, finished: Sequence[Finished]) -> None:
        """Take what came of a batch; write when there is enough of it."""
        self._waiting += finished
        cases = sum(len(one.records) for one in self._waiting)
        late = time.monotonic() - self._written_at > _WRITE_EVERY_S
        if cases >= _WRITTEN_AT_A_TIME or late:
            self._write()

    def _write(self) -> None:
        """Index what waits and note it down."""
        finished, self._waiting = self._waiting, []
        records = [record for one in finished for record in one.records]
        vectors = [vector for one in finished for vector in one.vectors]
        texts = [text for one in finished for text in one.texts]
        originals = self._earlier.originals(records, vectors)
        marked = [
            replace(record, duplicate_of=original)
            for record, original in zip(records, originals, strict=True)
        ]
        kept = [n for n, record in enumerate(marked) if self._keeps(record, marked)]
        missing = self._index.missing([marked[n] for n in kept]) if kept else []
        new = {record.image_id for record in missing}
        write = [n for n in kept if marked[n].image_id in new]
        self._index.add(
            [marked[n] for n in write], [vectors[n] for n in write], [texts[n] for n in write]
        )
        there = {marked[n].image_id for n in kept}
        self._note(finished, marked, there, new)
        self._written_at = time.monotonic()

    def _keeps(self, record: CaseRecord, batch: Sequence[CaseRecord]) -> bool:
        if self._duplicate_rule == "mark":
            return True
        if record.pooled:  # it goes when all its images do
            return any(
                not other.duplicate_of
                for other in batch
                if other.text_id == record.text_id and not other.pooled
            )
        return not record.duplicate_of

    def _note(
        self,
        finished: Sequence[Finished],
        marked: Sequence[CaseRecord],
        there: set[str],
        new: set[str],
    ) -> None:
        done, start = [], 0
        for one in finished:
            records = marked[start : start + len(one.records)]
            start += len(one.records)
            images = [record for record in records if not record.pooled]
            doubles = sum(bool(record.duplicate_of) for record in images)
            kept = tuple(record.image_id for record in records if record.image_id in there)
            fact = Done(one.studies, kept, len(images), doubles)
            self._count(fact, sum(record.image_id in new for record in images))
            if one.content:
                done.append((self._key(one.content), fact))
        self.quarantine([problem for one in finished for problem in one.problems], done)

    def quarantine(
        self, problems: Sequence[tuple[str, str]], done: Sequence[tuple[str, Done]] = ()
    ) -> None:
        """Write down files that are left out, and units that are done."""
        self._bad |= dict(problems)
        self._ledger.note(done, problems, self._source)

    def end(self) -> IngestSummary:
        """Write the rest, forget what was in quarantine and is no longer, return the counts."""
        self._write()
        self._ledger.settle(self._source, list(self._bad))
        return IngestSummary(
            studies=len(self._studies),
            images=self._images,
            added=self._added,
            already=self._images - self._added,
            duplicates=self._duplicates,
            quarantined=tuple(Quarantined(*entry) for entry in sorted(self._bad.items())),
        )

    def _count(self, done: Done, added: int) -> None:
        self._units += 1
        self._studies.update(done.studies)
        self._images += done.found
        self._added += added
        self._duplicates += done.duplicates

    def _key(self, content: str) -> str:
        return hashlib.sha256(f"{self._recipe} {content}".encode()).hexdigest()
