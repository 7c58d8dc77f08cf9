"""Seeds, ids and splits: every random number of a phantom comes from a named stream."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np

from overread.imaging.phantoms.truth import Split

_TRAIN, _VALIDATION = 80, 90


def _digest(*key: object) -> int:
    text = "/".join(str(part) for part in key)
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")


def stream(*key: object) -> np.random.Generator:
    """Return the random generator of a key; equal keys give equal numbers on any machine.

    >>> int(stream("a", 1).integers(100)) == int(stream("a", 1).integers(100))
    True
    """
    return np.random.Generator(np.random.PCG64(_digest("overread-phantom-1", *key)))


def split_of(patient_id: str) -> Split:
    """Return the split of a patient: about 80/10/10, by hash of the id alone.

    >>> split_of("ph-fundus-00003") == split_of("ph-fundus-00003")
    True
    """
    bucket = _digest("split", patient_id) % 100
    if bucket < _TRAIN:
        return "train"
    return "validation" if bucket < _VALIDATION else "test"


@dataclass(frozen=True, slots=True)
class Case:
    """Which study to draw, and the random streams of its purposes."""

    domain: str
    patient: int
    visit: int
    size: int

    @property
    def patient_id(self) -> str:
        """Pseudonym of the patient."""
        return f"ph-{self.domain}-{self.patient:05d}"

    @property
    def study_id(self) -> str:
        """Pseudonym of the study."""
        return f"{self.patient_id}-v{self.visit}"

    @property
    def sex(self) -> Literal["F", "M"]:
        """Sex of the patient."""
        return "F" if self.anatomy("sex").random() < 0.5 else "M"

    @property
    def age(self) -> int:
        """Age at this visit, in years."""
        return int(self.anatomy("age").integers(25, 86)) + self.visit

    def anatomy(self, purpose: str) -> np.random.Generator:
        """Return a stream that is the same at every visit of the patient."""
        return stream(self.domain, self.patient, purpose)

    def moment(self, purpose: str) -> np.random.Generator:
        """Return a stream that differs from visit to visit."""
        return stream(self.domain, self.patient, purpose, "visit", self.visit)
