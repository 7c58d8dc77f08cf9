"""Refuse to evaluate a model on what it was trained on, as far as its training manifest tells.

A manifest lies beside the weights and is called `training-manifest.txt`. A line is one of

- a fingerprint of a training item (`Item.fingerprint`): 64 hex digits, or JSON with a field
  "fingerprint";
- patients of the generated benchmark, on whose phantoms the model was trained, by JSON such as
  {"benchmark": "phantoms", "domain": "fundus", "split": "train", "patients": [4, [7, 90]]}:
  numbers, and first and last number of ranges; with a "split", only its patients are meant. Every
  visit of theirs counts, whatever is asked about it (`Item.cluster` holds the patient's name);
- empty, or begins with # and says something to people.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from overread.evals.items import Item
from overread.imaging.errors import InputError
from overread.imaging.phantoms.generate import PATIENTS
from overread.imaging.phantoms.seeds import Case, split_of
from overread.imaging.phantoms.truth import Split
from overread.imaging.vocabulary import DOMAINS

MANIFEST = "training-manifest.txt"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_PATIENT = re.compile(r"ph-(.+)-([0-9]{5})")


def _known(domain: str) -> str:
    if domain not in DOMAINS:
        raise ValueError(f"{domain!r} is none of {', '.join(DOMAINS)}")
    return domain


def _pair(part: object) -> object:
    """Return the ends of a range, which a number is, too."""
    return tuple(part) if isinstance(part, list) else (part, part)


def _ascending(ends: tuple[int, int]) -> tuple[int, int]:
    if ends[0] > ends[1]:
        raise ValueError(f"the range {ends[0]} to {ends[1]} ends before it begins")
    return ends


Number = Annotated[int, Field(ge=0, lt=PATIENTS)]
Range = Annotated[tuple[Number, Number], BeforeValidator(_pair), AfterValidator(_ascending)]


class Patients(BaseModel, frozen=True, extra="forbid", strict=True):
    """Patients of the phantoms, as a line of a manifest names them.

    Attributes:
        benchmark: "phantoms".
        domain: A key of `overread.imaging.vocabulary.DOMAINS`.
        split: Only patients of this split are meant; None for all.
        patients: First and last number of ranges; a number alone is read as a range of one.
    """

    benchmark: Literal["phantoms"]
    domain: Annotated[str, AfterValidator(_known)]
    split: Split | None = None
    patients: tuple[Range, ...]

    def hold(self, domain: str, number: int) -> bool:
        """Return whether a patient of a domain is among them."""
        if domain != self.domain:
            return False
        if self.split is not None and split_of(Case(domain, number, 0, 0).patient_id) != self.split:
            return False
        return any(first <= number <= last for first, last in self.patients)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model was trained on.

    Attributes:
        fingerprints: Of items.
        patients: Of generated benchmarks.
    """

    fingerprints: frozenset[str] = frozenset()
    patients: tuple[Patients, ...] = ()

    def holds(self, item: Item) -> bool:
        """Return whether the model knows an item; one whose image is unreadable it does not."""
        name = _PATIENT.fullmatch(item.cluster)
        if name and any(line.hold(name[1], int(name[2])) for line in self.patients):
            return True
        try:
            return bool(self.fingerprints) and item.fingerprint() in self.fingerprints
        except OSError:  # the run records it as failed
            return False


def manifests_beside(folders: Iterable[Path]) -> list[Path]:
    """Return the training manifests that lie beside weights."""
    found = (folder / MANIFEST for folder in folders)
    return [path for path in dict.fromkeys(found) if path.is_file()]


def read_manifest(path: Path) -> Manifest:
    """Return what a manifest says.

    Raises:
        InputError: It cannot be read, or a line is neither a fingerprint nor names patients.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the training manifest {path} cannot be read: {error}") from error
    fingerprints: set[str] = set()
    patients: list[Patients] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            found = _parse(text)
        except ValueError as error:
            raise InputError(f"the training manifest {path}, line {number}, {error}") from error
        if isinstance(found, str):
            fingerprints.add(found)
        else:
            patients.append(found)
    return Manifest(frozenset(fingerprints), tuple(patients))


def _parse(text: str) -> str | Patients:
    """Return what a line says, or raise ValueError with the rest of a sentence about it."""
    fields: dict[str, object] = {"fingerprint": text}
    if text.startswith("{"):
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = {}
    if "benchmark" in fields:
        try:
            return Patients.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            why = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"does not name patients, {where!r}: {why}") from error
    fingerprint = str(fields.get("fingerprint")).lower()
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise ValueError(
            'is no fingerprint: 64 hex digits, JSON with a field "fingerprint", or JSON with '
            '"benchmark", "domain" and "patients" are expected'
        )
    return fingerprint


def check(
    items: Sequence[Item], manifests: Sequence[Path], subject: str, allowed: bool
) -> list[Item]:
    """Return the items that the subject was trained on.

    Raises:
        InputError: There are some, and that is not allowed; or a manifest cannot be read.
    """
    known = {path: read_manifest(path) for path in manifests}
    holders = {path: [item for item in items if it.holds(item)] for path, it in known.items()}
    ids = {item.id for held in holders.values() for item in held}
    found = [item for item in items if item.id in ids]
    if found and not allowed:
        where = ", ".join(str(path) for path, held in holders.items() if held)
        raise InputError(
            f"{len(found)} of {len(items)} items are in the training manifest of {subject} "
            f"({where}), for example {found[0].id}; its scores would tell what it remembers. "
            "Choose another split, or add --allow-contaminated"
        )
    return found
