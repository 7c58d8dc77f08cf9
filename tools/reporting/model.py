"""A structured report: what it says, on what each sentence rests, and who answers for it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from overread.tools.base import Evidence

Origin = Literal["evidence", "record", "reader"]

SYNTHETIC = "The image is synthetic: made by a program, of no patient."
"""What every export of a made-up image says, whatever a reader writes or strikes out."""


class Statement(BaseModel, frozen=True, extra="forbid"):
    """One sentence.

    Attributes:
        text: Without citations.
        evidence: Ids of what it rests on ("E2").
        origin: "evidence": composed from tool results, which are cited; "record": about the report
            itself ("None available."); "reader": written or changed by a person.
        target: What it speaks of ("effusion"), or "".
        abnormal: Whether it belongs in the impression.
    """

    text: str = Field(min_length=1, max_length=2000)
    evidence: tuple[str, ...] = ()
    origin: Origin = "evidence"
    target: str = ""
    abnormal: bool = False

    @model_validator(mode="after")
    def _rests_on_something(self) -> Self:
        if self.origin == "evidence" and not self.evidence:
            raise ValueError(f"'{self.text:.60}' cites no evidence")
        return self

    def __str__(self) -> str:
        """Return the text with its citations."""
        return self.text + "".join(f" [{name}]" for name in self.evidence)


class Region(BaseModel, frozen=True, extra="forbid"):
    """The findings in one part of the body; none of them: it was not assessed."""

    name: str
    statements: tuple[Statement, ...] = ()


class StructuredReport(BaseModel, frozen=True, extra="forbid"):
    """A report of one image of a de-identified study.

    Attributes:
        image: Its reference. study_id, patient_id: Pseudonyms.
        template: Name of the template that ordered it. title: For people.
        modality, body_part: Of the image. synthetic: Whether it was made up.
        technique, comparison, findings, impression: What it says.
        not_assessed: Findings of the domain about which nothing was established.
        evidence: Of the image's series, and whatever else is cited.
        status: "draft" until a reader signs.
        signer, signed_at: Who, and when (UTC); None for a draft.
    """

    image: str
    study_id: str
    patient_id: str
    template: str
    title: str
    modality: str
    body_part: str | None = None
    synthetic: bool = False
    technique: tuple[Statement, ...]
    comparison: tuple[Statement, ...]
    findings: tuple[Region, ...]
    not_assessed: tuple[str, ...] = ()
    impression: tuple[Statement, ...] = Field(min_length=1)
    evidence: tuple[Evidence, ...] = ()
    status: Literal["draft", "signed"] = "draft"
    signer: str | None = Field(default=None, min_length=1, max_length=64)
    signed_at: datetime | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {entry.id for entry in self.evidence}
        for statement in self.statements():
            if unknown := [name for name in statement.evidence if name not in known]:
                raise ValueError(f"'{statement.text:.60}' cites {unknown[0]}, which is not there")
        if (self.signer is None) != (self.signed_at is None):
            raise ValueError("a signature has a signer and a time")
        if (self.status == "signed") != (self.signer is not None):
            raise ValueError("a report is signed exactly if it has a signer")
        if self.signed_at is not None and self.signed_at.utcoffset() is None:
            raise ValueError("the time of the signature needs a time zone")
        return self

    @property
    def is_signed(self) -> bool:
        """Whether a reader answers for it."""
        return self.status == "signed"

    def statements(self) -> Iterator[Statement]:
        """Yield all sentences, in reading order."""
        yield from self.technique
        yield from self.comparison
        for region in self.findings:
            yield from region.statements
        yield from self.impression

    def signed(self, signer: str, at: datetime) -> "StructuredReport":
        """Return the report as signed.

        Raises:
            ValueError: It is signed already, or the signer or the time is not usable.
        """
        if self.is_signed:
            raise ValueError(f"it was signed by {self.signer}")
        changes = {"status": "signed", "signer": signer.strip(), "signed_at": at}
        return StructuredReport.model_validate(self.model_dump() | changes)
