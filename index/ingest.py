"""Fill an index from a folder, a manifest or a saved data set; a killed run goes on.

Units are worked on in batches, by any engine, and written in their order by this process alone.
A case is done when the index holds it; beside the index lies a ledger that says so without reading
the files again.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from overread.imaging.archive import Archive
from overread.imaging.errors import UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.index.chroma import is_url
from overread.index.duplicates import Earlier
from overread.index.engines import Batch, here, in_processes, on_ray
from overread.index.ledger import Done, Ledger, Quarantined
from overread.index.records import CaseRecord
from overread.index.store import CaseIndex
from overread.index.units import Unit, open_source
from overread.index.work import BATCH, Finished, Worker

VERSION = 1
"""Of what is made of a file; another one makes ledgers forget what is done."""

_BATCH_BYTES = 64 * 1024**2
_WRITTEN_AT_A_TIME = 256
"""Cases. Each domain is a write of its own: fewer take more time each, and a kill costs more."""
_FEW = 2 * BATCH
"""So few units are done before other processes have loaded their models."""

Progress = Callable[[int, int], None]
Engine = Literal["local", "ray"]
Duplicates = Literal["mark", "skip"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How an index is filled.

    Attributes:
        engine: "local", or "ray" for many machines.
        workers: Processes that read and embed; 1 for this one alone. None, with Ray: all cores.
        duplicates: What becomes of an image that nearly equals one of another study.
    """

    engine: Engine = "local"
    workers: int | None = 1
    duplicates: Duplicates = "mark"


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


def default_workers() -> int:
    """Return one process more than there are cores, so that reading does not leave one idle.

    On a GPU fewer: each holds the models.
    """
    import torch

    cores = len(os.sched_getaffinity(0))
    return min(cores + 1, 4) if torch.cuda.is_available() else cores + 1


def build_index(
    source: Path,
    index: CaseIndex,
    archive: Archive,
    pseudonymiser: Pseudonymiser,
    progress: Progress | None = None,
    *,
    plan: Plan = Plan(),
    notes: Path | None = None,
) -> IngestSummary:
    """Read, archive, embed and index all images of a source.

    Running it again adds only what is missing, so it also resumes a run that was killed.

    Args:
        source: Folder of images and DICOM; a .csv, .jsonl or .parquet manifest; or a folder that
            Hugging Face `datasets` has saved.
        index: Added to.
        archive: Where the de-identified pixels go, so that hits can be shown.
        pseudonymiser: Replaces identities.
        progress: Called with the number of units done (studies, rows, files) and their total.
        plan: How.
        notes: Folder of the ledger and the quarantine; an embedded index's own by default, and
            none for a server: then a resumed run reads the files again.

    Raises:
        InputError: The source does not exist, or nothing in it can be read.
    """
    found = open_source(source, pseudonymiser)
    ledger = Ledger(notes or (None if is_url(index.place) else Path(index.place)))
    towers = index.towers()
    run = _Run(index, archive, ledger, plan, str(source.absolute()), towers.name)
    try:
        run.quarantine(found.bad)
        worker = Worker(archive, pseudonymiser, towers)
        todo = _batches(run.not_done(found.units))
        for finished in _gathered(_worked_on(worker, todo, len(found.units), plan)):
            run.write(finished)
            if progress:
                progress(run.units, len(found.units))
        summary = run.end()
    finally:
        ledger.close()
    if not summary.studies:
        raise UnreadableImage(
            f"No readable image in {source}. The first problem: {summary.quarantined[0].reason}"
        )
    return summary


def _batches(units: Iterator[Unit]) -> Iterator[Batch]:
    batch: list[Unit] = []
    size = 0
    for unit in units:
        batch.append(unit)
        size += sum(path.stat().st_size for path in unit.files if path.is_file())
        if len(batch) == BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _gathered(results: Iterator[list[Finished]]) -> Iterator[list[Finished]]:
    """Join batches to what Chroma takes well at a time."""
    some: list[Finished] = []
    for result in results:
        some += result
        if sum(len(one.records) for one in some) >= _WRITTEN_AT_A_TIME:
            yield some
            some = []
    if some:
        yield some


def _worked_on(
    worker: Worker, batches: Iterator[Batch], units: int, plan: Plan
) -> Iterator[list[Finished]]:
    if plan.engine == "ray":
        return on_ray(worker, batches, plan.workers)
    count = default_workers() if plan.workers is None else plan.workers
    if count == 1 or units <= _FEW:
        return here(worker, batches)
    return in_processes(worker, batches, count)


class _Run:
    """Writes what the workers give, in order, and counts."""

    def __init__(
        self,
        index: CaseIndex,
        archive: Archive,
        ledger: Ledger,
        plan: Plan,
        source: str,
        towers: str,
    ) -> None:
        self._index, self._archive, self._ledger = index, archive, ledger
        self._plan, self._source = plan, source
        self._recipe = f"{VERSION} {towers} {plan.duplicates}"
        marks = plan.duplicates == "mark"
        self._earlier = Earlier(index.entries(), index.vectors_by_id, with_duplicates=marks)
        self._resumes = len(self._earlier) > 0
        self._studies: set[str] = set()
        self._bad: dict[str, str] = {}
        self._images = self._added = self._duplicates = 0
        self.units = 0

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

    def write(self, finished: Sequence[Finished]) -> None:
        """Index what came of a batch and note it down."""
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

    def _keeps(self, record: CaseRecord, batch: Sequence[CaseRecord]) -> bool:
        if self._plan.duplicates == "mark":
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
        """Forget what was in quarantine and is no longer, and return the counts."""
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
        self.units += 1
        self._studies.update(done.studies)
        self._images += done.found
        self._added += added
        self._duplicates += done.duplicates

    def _key(self, content: str) -> str:
        return hashlib.sha256(f"{self._recipe} {content}".encode()).hexdigest()
