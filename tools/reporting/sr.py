"""A report as DICOM Structured Report: Measurement Report (TID 1500), Comprehensive SR."""

from collections.abc import Sequence

from highdicom.seg import Segmentation
from highdicom.sr import (
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from overread.imaging.errors import InputError
from overread.tools.reporting.dicom_source import MANUFACTURER, SourceImage, described, uid
from overread.tools.reporting.dicom_text import paragraph, person_name
from overread.tools.reporting.masks import Outlined
from overread.tools.reporting.model import SYNTHETIC, Statement, StructuredReport
from overread.tools.reporting.sr_groups import groups
from overread.tools.reporting.templates import template_named

_SERIES_NUMBER = 901
_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
_NOT_GIVEN = "not given"


def structured_report(
    report: StructuredReport,
    sources: Sequence[SourceImage],
    masks: Sequence[Outlined] = (),
    segments: Sequence[Segmentation] = (),
) -> ComprehensiveSR:
    """Return the measurements, what was looked for and not found, and every sentence.

    An unsigned report is partial, preliminary and unverified; a signed one names who verified it.

    Args:
        report: Draft or signed.
        sources: Its images.
        masks: Those that are in `segments`.
        segments: The segmentations that go with it; measurements of a mask refer to them.

    Raises:
        InputError: The report has no evidence of its own images, or a mask is not in `segments`.
    """
    images = {str(source.ref): source.dataset for source in sources}
    measured = [
        group for entry in report.evidence for group in groups(entry, images, masks, segments)
    ]
    if not measured:
        raise InputError("the report holds no measurement or finding of its images to export")
    code, meaning = template_named(report.template).loinc
    content = MeasurementReport(
        observation_context=_observers(report),
        procedure_reported=CodedConcept(code, "LN", meaning),
        imaging_measurements=measured,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=[image for image in images.values() if _is_describable(image)] or None,
    )
    content[0].ContentSequence.append(_sentences(report))
    draft = not report.is_signed
    built = ComprehensiveSR(
        evidence=[*images.values(), *segments],
        content=content[0],
        series_instance_uid=uid("sr series", report.study_id, report.status),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid("sr", report.model_dump_json()),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=not draft,
        is_final=not draft,
        is_verified=not draft,
        verifying_observer_name=None if report.signer is None else person_name(report.signer),
        verifying_organization=None if draft else _NOT_GIVEN,
        series_description=described(report, "Overread report, research use only"),
    )
    if report.synthetic:
        built.SyntheticData = "YES"
    return built


def _is_describable(image: Dataset) -> bool:
    """Return whether an image states all that the template's image library says of its kind.

    Radiographs would need the spacing at the detector, which the archive does not keep.
    """
    if image.Modality in ("CT", "MR"):
        return all(
            image.get(key) for key in ("ImagePositionPatient", "PixelSpacing", "SliceThickness")
        )
    return image.Modality not in ("CR", "DX")


def _observers(report: StructuredReport) -> ObservationContext:
    device = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=uid("device"), name="Overread", manufacturer_name=MANUFACTURER
        ),
    )
    if report.signer is None:
        return ObservationContext(observer_device_context=device)
    person = ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=PersonObserverIdentifyingAttributes(
            name=person_name(report.signer)
        ),
    )
    return ObservationContext(observer_person_context=person, observer_device_context=device)


def _sentences(report: StructuredReport) -> ContainerContentItem:
    """Return the sentences as the template's container of evaluations (TID 1500, rows 12 to 14)."""
    container = ContainerContentItem(
        name=_EVALUATIONS, is_content_continuous=False,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )  # fmt: skip
    marks = [Statement(text=SYNTHETIC, origin="record")] if report.synthetic else []
    sections: list[tuple[Code, Sequence[Statement]]] = [
        (Code("121106", "DCM", "Comment"), (*marks, *report.technique, *report.comparison)),
        (codes.DCM.Finding, [item for region in report.findings for item in region.statements]),
        (codes.DCM.Impression, report.impression),
    ]
    items = ContentSequence()
    for name, statements in sections:
        for statement in statements:
            mark = "" if statement.origin != "reader" else " (the reader's own words)"
            items.append(
                TextContentItem(
                    name=name,
                    value=paragraph(f"{statement}{mark}"),
                    relationship_type=RelationshipTypeValues.CONTAINS,
                )
            )
    container.ContentSequence = items
    return container
