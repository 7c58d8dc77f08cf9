"""Which cases may come back: of what domain, with which facts, and whose not."""

from dataclasses import dataclass, fields
from typing import Any

from overread.imaging.errors import InputError
from overread.index.records import Hit

Where = dict[str, Any]
Range = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Filters:
    """Facts that a case must have; None, or an empty one, where any will do.

    Attributes:
        modality: DICOM Modality, whatever its case.
        body_part: All of it, as the header or the manifest has it ("chest").
        labels: Each of them must be among the case's labels.
        age: Years, from and to, both included; None for an open end.
        sex: "F", "M" or "O".
        date: Of the study, yyyymmdd, from and to, both included, as the archive has it.

    A case that does not tell its age, sex or date does not pass a filter for it.

    Raises:
        InputError: A range ends before it begins, or a sex is not one of the three.
    """

    modality: str | None = None
    body_part: str | None = None
    labels: tuple[str, ...] = ()
    age: Range | None = None
    sex: str | None = None
    date: tuple[int | None, int | None] | None = None

    def __post_init__(self) -> None:
        """Refuse what no case can pass."""
        for name, ends in (("age", self.age), ("date", self.date)):
            low, high = ends or (None, None)
            if low is not None and high is not None and low > high:
                raise InputError(f"the {name} filter ends at {high}, before it begins at {low}")
        if self.sex is not None and self.sex.upper() not in ("F", "M", "O"):
            raise InputError(f"the sex filter must be F, M or O, not '{self.sex}'")

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        return any(getattr(self, item.name) not in (None, ()) for item in fields(self))

    def where(self) -> Where | None:
        """Return Chroma's clause, or None when anything goes.

        >>> Filters(modality="ct", age=(40, None)).where()
        {'$and': [{'modality': 'CT'}, {'age': {'$gte': 40}}]}
        """
        clauses: list[Where] = []
        if self.modality:
            clauses.append({"modality": self.modality.upper()})
        if self.body_part:
            clauses.append({"body_part": self.body_part.lower()})
        clauses += [{"labels": {"$contains": label.lower()}} for label in self.labels]
        if self.sex:
            clauses.append({"sex": self.sex.upper()})
        for name, ends in (("age", self.age), ("date", self.date)):
            low, high = ends or (None, None)
            clauses += [{name: {"$gte": low}}] if low is not None else []
            clauses += [{name: {"$lte": high}}] if high is not None else []
        if len(clauses) > 1:
            return {"$and": clauses}
        return clauses[0] if clauses else None


@dataclass(frozen=True, slots=True)
class Exclude:
    """Whose cases must not come back; an empty word excludes nobody.

    Held against each hit rather than asked of Chroma, which would walk through every case for it.

    Attributes:
        patient: Pseudonym. study: Its id.
        pixels: Hash of the query's own view, which finds the picture again where no header tells
            whose it is.
    """

    patient: str = ""
    study: str = ""
    pixels: str = ""

    def allows(self, hit: Hit) -> bool:
        """Whether a case may come back.

        >>> Exclude().allows(Hit.from_metadata("i", 1.0, {}))
        True
        """
        return not (
            (self.patient and hit.patient_id == self.patient)
            or (self.study and hit.study_id == self.study)
            or (self.pixels and hit.pixels == self.pixels)
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a search looks.

    Attributes:
        filters: Facts the cases must have.
        exclude: Whose cases must not come back.
        domain: Search its cases alone, with its embedder; all that share the default embedder if
            None.
    """

    filters: Filters = Filters()
    exclude: Exclude = Exclude()
    domain: str | None = None


ANYWHERE = Scope()
