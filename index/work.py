"""From units to embedded cases: read, de-identify, archive, render, embed. Writes no index.

One `Worker` does all of it for a batch of units, so that batches can be spread over processes and
machines: what comes back is small.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from overread.imaging.archive import Archive
from overread.imaging.errors import UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import Problem, iterate
from overread.imaging.study import Image, Series, Study
from overread.imaging.synthetic import HEADER
from overread.index import saved
from overread.index.domain_head import UNKNOWN
from overread.index.domains import Verdict, by_header_or_picture, by_picture
from overread.index.duplicates import hash_text
from overread.index.embedder import Embedder, Vectors
from overread.index.manifest import ManifestRow
from overread.index.naming import renamed
from overread.index.records import CaseRecord, picture
from overread.index.towers import Towers
from overread.index.units import Unit
from overread.index.volumes import key_images, pooled

BATCH = 32
"""Pictures embedded at a time, and units in a batch."""

_REMEMBERED = 4096
"""Texts whose vectors a worker keeps: reports without a finding are often word for word the same."""

SYNTHETIC = "synthetic"
"""First word of the source of a case that was made up."""

Problems = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a unit.

    Attributes:
        unit: It.
        content: Its hash, or "" when a file could not be read.
        studies: Ids of the studies found.
        records: Embedded cases, without their pictures; a series' pooled one after its images.
        vectors: Of each record, unit length. texts: Of each record's text.
        problems: Names of files that could not be read, and why.
    """

    unit: Unit
    content: str
    studies: tuple[str, ...]
    records: tuple[CaseRecord, ...]
    vectors: tuple[Vectors, ...]
    texts: tuple[Vectors, ...]
    problems: tuple[tuple[str, str], ...]


class Worker:
    """Reads and embeds batches of units; goes to other processes as paths.

    Args:
        archive: Where the de-identified pixels go, so that hits can be shown.
        pseudonymiser: Replaces identities.
        towers: Of images and texts.
    """

    def __init__(self, archive: Archive, pseudonymiser: Pseudonymiser, towers: Towers) -> None:
        """Hold what the work needs."""
        self._archive = archive
        self._pseudonymiser = pseudonymiser
        self._towers = towers
        self._said: dict[tuple[str, str], Vectors] = {}

    @property
    def modules(self) -> list[str]:
        """Names of the modules that its embedders are from; most of its start is importing them."""
        return self._towers.modules

    def __call__(self, units: Sequence[Unit]) -> list[Finished]:
        """Return what became of each unit, in order; unreadable files are told, never raised."""
        read = [self._read(unit) for unit in units]
        cases = [case for _, _, found, _ in read for case in found]
        vectors = self._vectors(cases)
        texts = self._texts(cases)
        finished, start = [], 0
        for unit, (content, studies, found, problems) in zip(units, read, strict=True):
            part = slice(start, start + len(found))
            start += len(found)
            records = tuple(case.embedded() for case in cases[part])
            given = tuple(vectors[part]), tuple(texts[part])
            finished.append(Finished(unit, content, studies, records, *given, problems))
        return finished

    def _vectors(self, cases: list[CaseRecord]) -> list[Vectors]:
        """Embed the images and pool the series; name, in place, domains that only a picture tells.

        A case whose domain is to be told has "" for it, and so has all of its series.
        """
        vectors = self._embedded(cases, range(len(cases)))
        told: dict[str, str] = {}
        for place, case in enumerate(cases):
            if not case.domain:
                if case.text_id not in told:
                    told[case.text_id] = self._told(case, vectors[place])
                cases[place] = replace(case, domain=told[case.text_id])
        own = self._towers.by_domain
        moved = [n for n, case in enumerate(cases) if case.text_id in told and case.domain in own]
        for place, vector in self._embedded(cases, moved).items():
            vectors[place] = vector
        for place, case in enumerate(cases):
            if case.pooled:
                its = [vectors[n] for n in range(place - case.pooled, place)]
                vectors[place] = pooled(np.stack(its))
        return [vectors[place] for place in range(len(cases))]

    def _told(self, case: CaseRecord, vector: Vectors) -> str:
        def ask() -> Verdict:
            return by_picture(vector, self._towers.default)

        return by_header_or_picture(case.modality, case.body_part, ask).domain

    def _embedded(self, cases: Sequence[CaseRecord], places: Iterable[int]) -> dict[int, Vectors]:
        """Return the vectors of the cases at some places that have a picture, by place."""
        by_domain: dict[int, tuple[Embedder, list[int]]] = {}
        for place in places:
            if cases[place].view is not None:
                tower = self._towers.images(cases[place].domain)
                by_domain.setdefault(id(tower), (tower, []))[1].append(place)
        found: dict[int, Vectors] = {}
        for tower, chosen in by_domain.values():
            for start in range(0, len(chosen), BATCH):
                part = chosen[start : start + BATCH]
                views = [view for n in part if (view := cases[n].view) is not None]
                found |= zip(part, tower.embed_images(views), strict=True)
        return found

    def _texts(self, cases: Sequence[CaseRecord]) -> list[Vectors]:
        """Embed the cases' texts, those that no earlier batch had."""
        towers = [self._towers.texts(case.domain) for case in cases]
        wanted = [(tower.name, case.text) for tower, case in zip(towers, cases, strict=True)]
        known = {key: self._said[key] for key in wanted if key in self._said}
        for tower in {tower.name: tower for tower in towers}.values():
            new = [
                key for key in dict.fromkeys(wanted) if key[0] == tower.name and key not in known
            ]
            known |= zip(new, tower.embed_texts([text for _, text in new]), strict=True)
        if len(self._said) + len(known) > _REMEMBERED:
            self._said.clear()
        self._said |= known
        return [known[key] for key in wanted]

    def _read(self, unit: Unit) -> tuple[str, tuple[str, ...], list[CaseRecord], Problems]:
        """Return a unit's content hash, studies, cases not yet embedded, and problems."""
        problems: list[Problem] = []
        studies: list[str] = []
        records: list[CaseRecord] = []
        try:
            content = unit.content()
            for study in self._studies(unit, problems):
                self._archive.add([study])
                studies.append(study.id)
                for series in study.series:
                    records += self._records(study, series, unit.row or ManifestRow(Path()))
        except UnreadableImage as error:
            problems.append(Problem(Path(unit.name), str(error)))
        except OSError as error:
            reason = f"{unit.name} cannot be opened ({error.strerror}); check it."
            problems.append(Problem(Path(unit.name), reason))
        told = tuple((str(problem.path), problem.message) for problem in problems)
        return ("" if told else content), tuple(dict.fromkeys(studies)), records, told

    def _studies(self, unit: Unit, problems: list[Problem]) -> Iterator[Study]:
        if unit.saved_row is None:
            found = iterate(unit.files, self._pseudonymiser, problems, strict=False)
            yield from self._named(unit, found, problems)
            return
        # The readers know files; a row goes through one that nobody else can read.
        with TemporaryDirectory() as folder:
            file = Path(folder) / "image"
            file.write_bytes(saved.image_bytes(unit.files[0], unit.saved_row))
            try:
                yield from self._named(unit, iterate([file], self._pseudonymiser, []), problems)
            except UnreadableImage as error:
                told = str(error).replace(str(file), unit.name)
                problems.append(Problem(Path(unit.name), told))

    def _named(
        self, unit: Unit, found: Iterator[Study], problems: list[Problem]
    ) -> Iterator[Study]:
        try:
            for study in found:
                row = unit.row
                yield renamed(study, row, self._pseudonymiser, unit.series) if row else study
        except UnreadableImage:
            if unit.saved_row is not None or not problems:
                raise
            # The sentence sums up what `problems` says file by file.

    def _records(self, study: Study, series: Series, row: ManifestRow) -> list[CaseRecord]:
        """Return the cases of a series: its key images and, of several, one for them all."""
        keys = key_images(series.images)
        views = [picture(image) for image in keys]
        # One domain for a series: its vectors are pooled, and its text is stored once.
        domain = row.domain or _by_header(keys[0])
        made_up = HEADER in study.header  # never passed off as a real case
        cases = [
            CaseRecord(
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
                date=_date(study),
                source=f"{SYNTHETIC} {row.source}".strip() if made_up else row.source,
                licence=row.licence,
                picture_hash=hash_text(view),
            )
            for image, view in zip(keys, views, strict=True)
        ]
        if len(cases) < 2:
            return cases
        middle = cases[len(cases) // 2]
        whole = replace(middle, view=None, pixels="", picture_hash="", pooled=len(cases))
        return [*cases, whole]


def _by_header(image: Image) -> str:
    """Return the domain that the header tells, or "" when the picture must be asked."""
    asked = []

    def ask() -> Verdict:
        asked.append(image.ref)
        return Verdict(UNKNOWN, "header")

    domain = by_header_or_picture(image.modality, image.body_part, ask).domain
    return "" if asked else domain


def _date(study: Study) -> int | None:
    """Return the study's date, moved by de-identification, as yyyymmdd; None without one."""
    date = study.header.get("study_date")
    return int(date.replace("-", "")) if date else None
