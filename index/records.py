"""What goes into the index and what comes out. Knows no database."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image as PILImage

from overread.imaging.render import for_planner
from overread.imaging.study import Image, ImageRef

ID_CHARS = 32
VIEW_SIZE = 512

Metadata = dict[str, Any]

_WORDS = (
    "ref", "patient_id", "study_id", "report", "modality", "body_part", "domain", "source",
    "licence", "pixels",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class CaseRecord:
    """One image with what is known of it, ready to be indexed.

    Attributes:
        view: The image as a reader sees it, mode RGB; None once it is embedded (`embedded`).
        ref: Image reference (`study_id/series/instance[/frame]`).
        study_id, patient_id: Pseudonyms.
        modality: DICOM Modality. body_part: Lower-case words, or "".
        domain: One of `overread.index.domains`, or "unknown".
        labels: Findings by name; empty when none is known.
        report: Report text, or "".
        age: Years, or None. sex: "F", "M", "O" or None.
        date: Of the study, as the archive has it (moved by de-identification): yyyymmdd, or None.
        source: Where the case comes from. licence: On which terms.
        pixels: Hash of the view alone, whoever it belongs to; computed where a view is given.
        picture_hash: Perceptual hash (`overread.index.duplicates.hash_text`), or "".
        duplicate_of: Another study that has nearly the same image, or "".
        pooled: 0 for an image; for a series' pooled vector how many of its images are in it.
    """

    view: PILImage.Image | None
    ref: str
    study_id: str
    patient_id: str
    modality: str = "OT"
    body_part: str = ""
    domain: str = "unknown"
    labels: tuple[str, ...] = ()
    report: str = ""
    age: float | None = None
    sex: str | None = None
    source: str = ""
    licence: str = ""
    date: int | None = None
    pixels: str = ""
    picture_hash: str = ""
    duplicate_of: str = ""
    pooled: int = 0

    def __post_init__(self) -> None:
        """Hash the view, once."""
        if self.view is not None and not self.pixels:
            object.__setattr__(self, "pixels", pixel_hash(self.view))

    def embedded(self) -> "CaseRecord":
        """Return the record without its picture, to be kept or sent with the picture's vector."""
        return replace(self, view=None)

    @property
    def image_id(self) -> str:
        """Hash of the pixels and of where they belong; the same image gets the same id."""
        return _digest(self.ref, self.pixels, f"pooled {self.pooled}" if self.pooled else "")

    @property
    def text(self) -> str:
        """The passage that text search matches: the report, or else a caption of the facts."""
        return self.report.strip() or caption(self.modality, self.body_part, self.labels)

    @property
    def text_id(self) -> str:
        """One passage per series; a corrected wording replaces the old one."""
        return _digest(self.study_id, ImageRef.parse(self.ref).series)

    def metadata(self) -> Metadata:
        """Return what Chroma stores; it accepts neither None nor empty lists."""
        facts: dict[str, Any] = {
            "ref": self.ref,
            "study_id": self.study_id,
            "patient_id": self.patient_id,
            "modality": self.modality,
            "body_part": self.body_part,
            "domain": self.domain,
            "labels": list(self.labels),
            "report": self.report,
            "age": self.age,
            "sex": self.sex,
            "date": self.date,
            "pixels": self.pixels,
            "source": self.source,
            "licence": self.licence,
            "picture_hash": self.picture_hash or None,
            "duplicate_of": self.duplicate_of or None,
            "pooled": self.pooled or None,
        }
        return {key: value for key, value in facts.items() if value not in (None, [])}


@dataclass(frozen=True, slots=True)
class Hit:
    """One case found.

    Attributes:
        id: In the collection it was found in.
        ref: Image reference of the case.
        score: Of a search by image or by vector the cosine similarity to it, -1..1; of one by
            words, or by both, the fused rank, 1 for the first of every list.
        patient_id, study_id, labels, report, modality, body_part, domain, source, licence, pixels,
            age, sex, date: As in `CaseRecord`.
        ranks: Places, from 1, in the lists that were fused: "image", "image by words", "report",
            "keywords".
    """

    id: str
    ref: str
    score: float
    patient_id: str
    study_id: str
    labels: tuple[str, ...]
    report: str
    modality: str
    body_part: str
    domain: str
    source: str
    licence: str
    pixels: str = ""
    age: float | None = None
    sex: str | None = None
    date: int | None = None
    ranks: Mapping[str, int] = field(default_factory=dict, hash=False)

    @classmethod
    def from_metadata(cls, id_: str, score: float, metadata: Mapping[str, Any]) -> "Hit":
        """Build from what Chroma returns."""
        labels = tuple(str(label) for label in metadata.get("labels", ()))
        facts: dict[str, Any] = {name: str(metadata.get(name, "")) for name in _WORDS}
        facts |= {name: metadata.get(name) for name in ("age", "sex", "date")}
        return cls(id=id_, score=score, labels=labels, **facts)


def picture(image: Image) -> PILImage.Image:
    """Render an image the one way that both indexing and searching see it: windowed and square."""
    return for_planner(image, VIEW_SIZE)


def pixel_hash(view: PILImage.Image) -> str:
    """Return the hash of a picture's pixels, the same wherever the picture lies."""
    return _digest(f"{view.mode}{view.size}", view.tobytes())


def caption(modality: str, body_part: str, labels: tuple[str, ...]) -> str:
    """Describe an image that has no report.

    >>> caption("CR", "chest", ("effusion",))
    'CR of the chest. Findings: effusion.'
    """
    what = f"{modality} of the {body_part}" if body_part else f"{modality} image"
    return f"{what}. Findings: {', '.join(labels)}." if labels else f"{what}."


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:ID_CHARS]
