"""Compose a structured report of an image from a session's evidence."""

from collections.abc import Iterable, Mapping, Sequence

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.study import ImageRef
from overread.imaging.synthetic import HEADER
from overread.tools import report_text
from overread.tools.base import Evidence
from overread.tools.dates import apart
from overread.tools.report_text import Sentence
from overread.tools.reporting.model import Region, Statement, StructuredReport
from overread.tools.reporting.templates import Template, template_for


def compose(
    evidence: Sequence[Evidence], image: ImageRef, session: Sequence[ImageRef], archive: Archive
) -> StructuredReport:
    """Return a draft; every sentence on the image cites evidence.

    Args:
        evidence: Of the session, oldest first.
        image: What is reported.
        session: All images of the session; those of the same patient are compared with.
        archive: Where they are.

    Raises:
        InputError: There is no evidence about the image but the file's own.
        UnknownReference: The image is not in the archive.
    """
    picture, reference = archive.load(image), str(image)
    sentences = report_text.findings(evidence, reference)
    if not sentences:
        raise InputError(
            f"there is no evidence about image {reference} yet; ask something about it first"
        )
    template = template_for(picture.modality, picture.body_part)
    domain = template.domain or report_text.domain_of(sentences)
    study = archive.study(image.study_id)
    others = [
        ref
        for ref in session
        if ref != image and archive.study(ref.study_id).patient_id == study.patient_id
    ]
    report = {
        "image": reference,
        "study_id": study.id,
        "patient_id": study.patient_id,
        "template": template.name,
        "title": template.title,
        "modality": picture.modality,
        "body_part": picture.body_part,
        "synthetic": HEADER in study.header,
        "technique": (_statement(report_text.technique(evidence, picture)),),
        "comparison": _comparison(evidence, reference, others, archive),
        "findings": _regions(template, sentences),
        "not_assessed": tuple(report_text.unassessed(domain, sentences)),
        "impression": tuple(map(_statement, report_text.impression(sentences))),
    }
    cited = {name for item in _statements(report) for name in item.evidence}
    kept = tuple(e for e in evidence if e.id in cited or _same_series(e.image, image))
    return StructuredReport.model_validate(report | {"evidence": kept})


def _statement(sentence: Sentence) -> Statement:
    return Statement(
        text=sentence.text,
        evidence=sentence.evidence,
        origin="evidence" if sentence.evidence else "record",
        target=sentence.target,
        abnormal=sentence.abnormal,
    )


def _comparison(
    evidence: Sequence[Evidence], image: str, others: Sequence[ImageRef], archive: Archive
) -> tuple[Statement, ...]:
    compared = tuple(
        Statement(text=str(entry.values["summary"]), evidence=(entry.id,))
        for entry in evidence
        if entry.tool == "compare" and entry.image == image
    )
    if not others:
        return compared or (Statement(text="None available.", origin="record"),)
    names = [str(other) for other in others]
    told = report_text.comparison(evidence, image, names)
    header = archive.study(ImageRef.parse(image).study_id).header
    when = (apart(header, archive.study(other.study_id).header) for other in others)
    dated = [f"{name} ({days})" if days else name for name, days in zip(names, when, strict=True)]
    listed = Statement(text=f"With {', '.join(dated)}.", origin="record")
    return (listed, *map(_statement, told), *compared)


def _regions(template: Template, sentences: Sequence[Sentence]) -> tuple[Region, ...]:
    """Return the template's regions, assessed or not, then others of which something is known."""
    found = report_text.by_region(sentences)
    names = dict.fromkeys([*template.regions, *found])
    return tuple(
        Region(name=name, statements=tuple(map(_statement, found.get(name, ())))) for name in names
    )


def _statements(report: Mapping[str, object]) -> Iterable[Statement]:
    for value in report.values():
        for item in value if isinstance(value, tuple) else ():
            if isinstance(item, Statement):
                yield item
            elif isinstance(item, Region):
                yield from item.statements


def _same_series(reference: str | None, image: ImageRef) -> bool:
    if reference is None:
        return False
    other = ImageRef.parse(reference)
    return (other.study_id, other.series) == (image.study_id, image.series)
