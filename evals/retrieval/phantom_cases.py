"""Phantoms on the disk with what is known of them: what is indexed, and what is looked for."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from overread.evals.benchmarks.generated import drawing_version
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms import sample, write_manifest
from overread.imaging.phantoms.truth import Split
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.index.records import picture

MANIFEST = "manifest.jsonl"
MISSING = frozenset({"chest-ct", "fundus", "ultrasound"})
"""Domains that an archive of another kind of clinic lacks; one of them is much like another that is there."""


@dataclass(frozen=True, slots=True)
class PhantomCase:
    """A phantom's file and its truth.

    Attributes:
        file: DICOM or PNG.
        domain, patient_id, study_id, scanner, age, sex, report: As in `Phantom`.
        labels: Findings, or ("normal",).
    """

    file: Path
    domain: str
    patient_id: str
    study_id: str
    scanner: str
    age: int
    sex: str
    report: str
    labels: tuple[str, ...]

    @property
    def findings(self) -> str:
        """Domain and labels together: what a similar case should share."""
        return f"{self.domain}: {', '.join(self.labels)}"


def phantom_manifest(split: Split, number: int, seed: int, work: Path) -> Path:
    """Return a manifest of phantoms; they are drawn where they are not below `work` already.

    Args:
        split: Of their patients.
        number: How many; the domains take turns.
        seed: Which ones.
        work: Folder for the files.

    Raises:
        InputError: The folder cannot be written.
    """
    folder = work / f"{split}-{number}-{seed}-{drawing_version()}"
    manifest = folder / MANIFEST  # written last, so that it stands for the files
    return manifest if manifest.is_file() else write_manifest(sample(split, number, seed), folder)


def without_domains(manifest: Path, missing: Collection[str], folder: Path) -> Path:
    """Write a manifest without the cases of some domains; its paths lead to the old one's files."""
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    kept = [
        {**row, "path": str((manifest.parent / row["path"]).absolute())}
        for row in rows
        if row["domain"] not in missing
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "without-domains.jsonl"
    write_whole(path, "".join(json.dumps(row) + "\n" for row in kept), mode=ORDINARY)
    return path


def read_cases(manifest: Path) -> list[PhantomCase]:
    """Return the cases of a manifest of phantoms, in its order."""
    return [_case(manifest.parent, json.loads(line)) for line in manifest.read_text().splitlines()]


def views(cases: Sequence[PhantomCase], pseudonymiser: Pseudonymiser) -> Iterator[PILImage.Image]:
    """Yield the cases as the index sees them."""
    for case in cases:
        yield picture(read_studies([case.file], pseudonymiser)[0].images[0])


def _case(folder: Path, row: dict[str, Any]) -> PhantomCase:
    names = ("domain", "patient_id", "study_id", "scanner", "age", "sex", "report")
    facts = {name: row[name] for name in names}
    return PhantomCase(file=folder / row["path"], labels=tuple(row["labels"]), **facts)
