"""Fill an index from a folder, a manifest or a saved data set; a killed run goes on.

Units are worked on in batches, by any engine, and written in their order by this process alone.
A case is done when the index holds it; beside the index lies a ledger that says so without reading
the files again.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from overread.imaging.archive import Archive
from overread.imaging.errors import UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.index.chroma import is_url
from overread.index.engines import Batch, here, in_processes, on_ray
from overread.index.ledger import Ledger
from overread.index.store import CaseIndex
from overread.index.units import Unit, open_source
from overread.index.work import BATCH, Finished, Worker
from overread.index.writer import Duplicates, IngestSummary, Writer

_BATCH_BYTES = 64 * 1024**2
_FEW = 2 * BATCH
"""So few units are done before other processes have loaded their models."""

Progress = Callable[[int, int], None]
Engine = Literal["local", "ray"]


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
    run = Writer(index, archive, ledger, plan.duplicates, str(source.absolute()), towers.name)
    try:
        run.quarantine(found.bad)
        worker = Worker(archive, pseudonymiser, towers)
        todo = _batches(run.not_done(found.units))
        for finished in _worked_on(worker, todo, len(found.units), plan):
            run.take(finished)
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


def _worked_on(
    worker: Worker, batches: Iterator[Batch], units: int, plan: Plan
) -> Iterator[list[Finished]]:
    if plan.engine == "ray":
        return on_ray(worker, batches, plan.workers)
    count = default_workers() if plan.workers is None else plan.workers
    if count == 1 or units <= _FEW:
        return here(worker, batches)
    return in_processes(worker, batches, count)
