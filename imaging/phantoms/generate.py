"""Makes a phantom: draws it, compares it with its prior, writes its report and questions."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from overread.imaging.errors import InputError
from overread.imaging.phantoms import (
    abdomen_ct,
    brain_mr,
    chest_ct,
    chest_xray,
    fundus,
    histology,
    ultrasound,
)
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.questions import build_questions
from overread.imaging.phantoms.reporting import write_report
from overread.imaging.phantoms.scanners import Scanner, scanner_of
from overread.imaging.phantoms.seeds import Case, split_of, stream
from overread.imaging.phantoms.truth import Phantom, Split
from overread.imaging.phantoms.words import SETTINGS
from overread.imaging.vocabulary import DOMAINS

PATIENTS = 100_000  # patient numbers have five digits
SMALLEST_SIZE, LARGEST_SIZE = 64, 1024
_FOLLOW_UP_SHARE = 0.2
_WINDOWS = {"chest-ct": (-500.0, 1500.0), "abdomen-ct": (40.0, 400.0)}
_GREY_WINDOW = (127.5, 255.0)
_DRAWERS: dict[str, Callable[[Case, Scanner], Drawn]] = {
    "chest-xray": chest_xray.draw,
    "brain-mr": brain_mr.draw,
    "chest-ct": chest_ct.draw,
    "abdomen-ct": abdomen_ct.draw,
    "fundus": fundus.draw,
    "ultrasound": ultrasound.draw,
    "histology": histology.draw,
}


def generate(domain: str, patient: int, visit: int = 0, size: int = 256) -> Phantom:
    """Return one synthetic study, the same for the same arguments on any machine.

    Args:
        domain: A key of `overread.imaging.vocabulary.DOMAINS`.
        patient: 0 to 99999; fixes anatomy, scanner and split.
        visit: 0 for the first study; visit n is a follow-up whose `prior_id` is visit n - 1.
        size: Rows and columns, 64 to 1024.

    Raises:
        InputError: An argument is out of its range.
    """
    if domain not in _DRAWERS:
        raise InputError(f"'{domain}' is not a phantom domain; choose from {', '.join(_DRAWERS)}")
    if not 0 <= patient < PATIENTS or visit < 0:
        raise InputError(
            f"patient must be 0 to {PATIENTS - 1} and visit 0 or more, got {patient} and {visit}"
        )
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise InputError(f"size must be {SMALLEST_SIZE} to {LARGEST_SIZE} pixels, got {size}")
    case = Case(domain, patient, visit, size)
    scanner = scanner_of(case)
    now = _DRAWERS[domain](case, scanner)
    before = Case(domain, patient, visit - 1, size) if visit else None
    prior = _DRAWERS[domain](before, scanner) if before else None
    return Phantom(
        domain=domain,
        patient_id=case.patient_id,
        study_id=case.study_id,
        modality=SETTINGS[domain].modality_code,
        body_part=now.body_part,
        view=now.view,
        scanner=scanner.name,
        pixels=now.pixels,
        window=_WINDOWS.get(domain, _GREY_WINDOW),
        spacing_mm=now.spacing_mm,
        age=case.age,
        sex=case.sex,
        masks=now.masks,
        findings=now.findings,
        report=write_report(case, now, prior),
        questions=build_questions(case, now, prior),
        prior_id=before.study_id if before else None,
    )


def sample(
    split: Split, n: int, seed: int, domains: Sequence[str] = tuple(DOMAINS)
) -> Iterator[Phantom]:
    """Yield n phantoms of one split, balanced over domains; about a fifth are follow-ups.

    Args:
        split: Only patients of this split are drawn.
        n: How many; the domains take turns.
        seed: Which patients; equal seeds give equal phantoms. No study comes twice.
        domains: Keys of the vocabulary.
    """
    yield from (generate(*case) for case in chosen(split, n, seed, domains))


def chosen(
    split: Split, n: int, seed: int, domains: Sequence[str] = tuple(DOMAINS)
) -> Iterator[tuple[str, int, int]]:
    """Yield domain, patient and visit of what `sample` draws, without drawing it."""
    rng = stream("sample", split, seed)
    seen: set[tuple[str, int]] = set()
    for i in range(n):
        domain = domains[i % len(domains)]
        patient = _patient(rng, domain, split, seen)
        visit = 1 if DOMAINS[domain][1] and rng.random() < _FOLLOW_UP_SHARE else 0
        yield domain, patient, visit


def _patient(
    rng: np.random.Generator, domain: str, split: Split, seen: set[tuple[str, int]]
) -> int:
    while True:
        patient = int(rng.integers(PATIENTS))
        key = (domain, patient)
        if key not in seen and split_of(Case(domain, patient, 0, 0).patient_id) == split:
            seen.add(key)
            return patient
