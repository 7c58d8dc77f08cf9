"""Fill an index from a folder or a manifest; a killed run continues where it stopped."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

from overread.imaging.archive import Archive
from overread.imaging.deidentify import MAX_AGE
from overread.imaging.errors import InputError, UnreadableImage
from overread.imaging.files import write_whole
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import Problem, iterate
from overread.imaging.study import Image, ImageRef, Series, Study
from overread.index.chroma import is_url
from overread.index.domain_head import UNKNOWN
from overread.index.domains import domain_of, identify
from overread.index.embedder import Embedder
from overread.index.manifest import PHANTOM, SUFFIXES, BadRow, ManifestRow, read_manifest
from overread.index.records import CaseRecord, picture
from overread.index.store import CaseIndex

BATCH = 32
MAX_PER_SERIES = 16
"""Slices or frames of a series that are indexed, evenly spread; neighbours are nearly the same."""

UNSTATED = "OT"
"""DICOM's modality for "other": what a picture without a header has."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is not in the index, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What became of everything that was found.

    Attributes:
        studies, images: Found and readable.
        added: Images newly indexed, or whose labels or report have changed.
        already: Images that were there before.
        quarantined: Files left out; also written to `quarantine.jsonl`.
    """

    studies: int
    images: int
    added: int
    already: int
    quarantined: tuple[Quarantined, ...]


def build_index(
    source: Path,
    index: CaseIndex,
    archive: Archive,
    pseudonymiser: Pseudonymiser,
    progress: Progress | None = None,
) -> IngestSummary:
    """Read, archive, embed and index all images of a folder or a manifest.

    Running it again adds only what is missing, so it also resumes a run that was killed.

    Args:
        source: Folder of images and DICOM, or a .csv, .jsonl or .parquet manifest.
        index: Added to.
        archive: Where the de-identified pixels go, so that hits can be shown.
        pseudonymiser: Replaces identities.
        progress: Called with the number of files done and their total.

    Raises:
        InputError: The source does not exist, or nothing in it can be read.
    """
    quarantined: list[Quarantined] = []
    if source.is_dir():
        found = _from_folder(source, pseudonymiser, quarantined, progress)
    elif source.is_file() and source.suffix in SUFFIXES:
        found = _from_manifest(source, pseudonymiser, quarantined, progress)
    else:
        raise InputError(
            f"{source} is neither a folder nor a manifest ({', '.join(sorted(SUFFIXES))})."
        )
    studies: set[str] = set()
    images = added = 0
    records = _records(found, archive, index.embedder, studies)
    while batch := list(islice(records, BATCH)):
        added += index.add(index.missing(batch))
        images += len(batch)
    if not is_url(index.place):
        _write(Path(index.place) / "quarantine.jsonl", quarantined)
    return IngestSummary(len(studies), images, added, images - added, tuple(quarantined))


def _from_folder(
    folder: Path,
    pseudonymiser: Pseudonymiser,
    quarantined: list[Quarantined],
    progress: Progress | None,
) -> Iterator[tuple[Study, ManifestRow | None]]:
    problems: list[Problem] = []
    for study in iterate([folder], pseudonymiser, problems, progress):
        yield study, None
    quarantined.extend(Quarantined(str(found.path), found.message) for found in problems)


def _from_manifest(
    manifest: Path,
    pseudonymiser: Pseudonymiser,
    quarantined: list[Quarantined],
    progress: Progress | None,
) -> Iterator[tuple[Study, ManifestRow | None]]:
    rows = read_manifest(manifest)
    series_of: dict[str, int] = {}
    for done, row in enumerate(rows, start=1):
        if isinstance(row, BadRow):
            quarantined.append(Quarantined(row.path, row.reason))
        else:
            problems: list[Problem] = []
            try:
                for study in iterate([row.path], pseudonymiser, problems):
                    yield _renamed(study, row, pseudonymiser, series_of), row
            except UnreadableImage as error:
                quarantined.append(Quarantined(str(row.path), str(error)))
            quarantined.extend(Quarantined(str(found.path), found.message) for found in problems)
        if progress:
            progress(done, len(rows))


def _renamed(
    study: Study, row: ManifestRow, pseudonymiser: Pseudonymiser, series_of: dict[str, int]
) -> Study:
    """Give a study the patient, study, modality and body part that its row states.

    Several rows may share a study; their series are then numbered in the manifest's order.
    """
    invented = row.source == PHANTOM
    study_id, patient_id = study.id, study.patient_id
    if row.patient_id:
        # As in DICOM without an issuer, so that a patient is the same from either source.
        identity = f"\0{row.patient_id}"
        patient_id = row.patient_id if invented else pseudonymiser.patient(identity)
    if row.study_id:
        study_id = row.study_id if invented else pseudonymiser.study(row.study_id)

    def series(old: Series) -> Series:
        name = old.id
        if row.study_id:
            name = f"s{series_of.setdefault(study_id, 0)}"
            series_of[study_id] += 1
        modality = row.modality.upper() or old.modality
        images = tuple(image(one, name, modality) for one in old.images)
        return replace(old, id=name, modality=modality, images=images)

    def image(old: Image, name: str, modality: str) -> Image:
        ref = ImageRef(study_id, name, old.ref.instance, old.ref.frame)
        body_part = row.body_part.lower() or old.body_part
        return replace(old, ref=ref, modality=modality, body_part=body_part)

    return replace(
        study,
        id=study_id,
        patient_id=patient_id,
        series=tuple(series(old) for old in study.series),
        age=study.age if row.age is None else min(row.age, float(MAX_AGE)),
        sex=row.sex or study.sex,
    )


def _records(
    found: Iterator[tuple[Study, ManifestRow | None]],
    archive: Archive,
    embedder: Embedder,
    studies: set[str],
) -> Iterator[CaseRecord]:
    for study, row in found:
        studies.add(study.id)
        archive.add([study])
        for series in study.series:
            for image in _spread(series.images):
                yield _record(study, image, row, embedder)


def _record(study: Study, image: Image, row: ManifestRow | None, embedder: Embedder) -> CaseRecord:
    row, view = row or ManifestRow(Path()), picture(image)
    domain = row.domain or domain_of(image.modality, image.body_part)
    if domain == UNKNOWN and image.modality == UNSTATED:
        domain = identify(view, embedder).domain
    return CaseRecord(
        view=view,
        ref=str(image.ref),
        study_id=study.id,
        patient_id=study.patient_id,
        modality=image.modality,
        body_part=image.body_part or "",
        domain=domain,
        labels=row.labels,
        report=row.report,
        age=study.age,
        sex=study.sex,
        source=row.source,
        licence=row.licence,
    )


def _spread(images: Sequence[Image]) -> list[Image]:
    if len(images) <= MAX_PER_SERIES:
        return list(images)
    step = (len(images) - 1) / (MAX_PER_SERIES - 1)
    return [images[round(i * step)] for i in range(MAX_PER_SERIES)]


def _write(path: Path, quarantined: Sequence[Quarantined]) -> None:
    """Replace the list as a whole; it names files, so only the owner may read it."""
    write_whole(path, "".join(json.dumps(asdict(entry)) + "\n" for entry in quarantined))
