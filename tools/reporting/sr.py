"""A report as DICOM Structured Report: Measurement Report (TID 1500), Comprehensive SR."""

from collections.abc import Sequence

from highdicom.seg import Segmentation
from highdicom.sr import (
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from overread.imaging.errors import InputError
from overread.tools.base import Evidence
from overread.tools.reporting import coding
from overread.tools.reporting.dicom_source import MANUFACTURER, SourceImage, person_name, uid
from overread.tools.reporting.masks import Outlined
from overread.tools.reporting.model import Statement, StructuredReport
from overread.tools.reporting.seg import segment_numbers
from overread.tools.reporting.templates import template_named

_SERIES_NUMBER = 901
_PRESENCE = Code("705057003", "SCT", "Presence")
_PRESENT, _ABSENT = Code("52101004", "SCT", "Present"), Code("2667000", "SCT", "Absent")
_LATERALITY = Code("272741003", "SCT", "Laterality")
_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}
_MEASURED = {"area_mm2": ("area", "mm2"), "long_axis_mm": ("long_axis", "mm")}
_NOT_GIVEN = "not given"

Group = PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations


def structured_report(
    report: StructuredReport,
    sources: Sequence[SourceImage],
    masks: Sequence[Outlined] = (),
    segments: Segmentation | None = None,
) -> ComprehensiveSR:
    """Return the measurements, what was looked for and not found, and every sentence.

    An unsigned report is partial, preliminary and unverified; a signed one names who verified it.

    Args:
        report: Draft or signed.
        sources: Its images.
        masks: Those that are in `segments`.
        segments: The segmentation that goes with it; measurements of a mask refer to it.

    Raises:
        InputError: The report has no evidence of its own images.
    """
    images = {str(source.ref): source.dataset for source in sources}
    groups = [
        group
        for entry in report.evidence
        if entry.image in images and (group := _group(entry, images[entry.image], masks, segments))
    ]
    if not groups:
        raise InputError("the report holds no measurement or finding of its images to export")
    code, meaning = template_named(report.template).loinc
    content = MeasurementReport(
        observation_context=_observers(report),
        procedure_reported=CodedConcept(code, "LN", meaning),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=[image for image in images.values() if _is_describable(image)] or None,
    )
    content[0].ContentSequence.append(_sentences(report))
    draft = not report.is_signed
    evidence: list[Dataset] = list(images.values())
    return ComprehensiveSR(
        evidence=evidence if segments is None else [*evidence, segments],
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
        series_description=("DRAFT - " if draft else "") + "Overread report, research use only",
    )


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


def _group(
    entry: Evidence, image: Dataset, masks: Sequence[Outlined], segments: Segmentation | None
) -> Group | None:
    """Return the measurement group of a segmentation or a measurement; None for other evidence."""
    values, target = entry.values, entry.values.get("target")
    if not isinstance(target, str) or not ({"found", "quantity"} & values.keys()):
        return None
    tracking = TrackingIdentifier(uid=uid("finding", entry.model_dump_json()), identifier=entry.id)
    evaluations = []
    if "found" in values:
        presence = _PRESENT if values["found"] else _ABSENT
        evaluations.append(QualitativeEvaluation(_PRESENCE, presence))
    measurements = _measurements(entry)
    side = _SIDES.get(str(values.get("patient_side")) if values.get("found") else "")
    if side is not None:
        evaluations.append(QualitativeEvaluation(_LATERALITY, side))
    mask = next((item for item in masks if item.evidence == entry.id), None)
    if mask is not None and segments is not None:
        number = segment_numbers(masks)[target]
        return PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_segment=_segment(segments, number, image),
            finding_type=coding.concept(target),
            measurements=measurements,
            qualitative_evaluations=evaluations,
        )
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        finding_type=coding.concept(target),
        measurements=measurements,
        qualitative_evaluations=evaluations,
        source_images=[SourceImageForMeasurementGroup.from_source_image(image)],
    )


def _measurements(entry: Evidence) -> list[Measurement]:
    values = entry.values
    found = [
        (name, float(value), unit)
        for key, (name, unit) in _MEASURED.items()
        if isinstance(value := values.get(key), float)
    ]
    if "quantity" in values:
        name = str(values["quantity"])
        if reference := values.get("reference"):
            name = f"{name} to {reference}"
        found.append((name, float(values["value"] or 0), str(values["unit"])))
    return [
        Measurement(name=coding.concept(name), value=value, unit=coding.unit(unit))
        for name, value, unit in found
    ]


def _segment(segments: Segmentation, number: int, image: Dataset) -> ReferencedSegmentationFrame:
    """Return a reference to the frame that shows a segment in an image.

    The frame names its segment, so the reference does not: PS3.3, Table C.17.2-3 wants one of both.
    """
    reference = ReferencedSegmentationFrame(
        sop_class_uid=segments.SOPClassUID,
        sop_instance_uid=segments.SOPInstanceUID,
        frame_number=_frame(segments, number, image.SOPInstanceUID),
        segment_number=number,
        source_image=SourceImageForSegmentation.from_source_image(image),
    )
    for item in reference:
        referenced = item.ReferencedSOPSequence[0]
        if "ReferencedSegmentNumber" in referenced:
            del referenced.ReferencedSegmentNumber
    return reference


def _frame(segments: Segmentation, number: int, instance: str) -> int:
    """Return the number, from 1, of the frame that shows a segment in an image."""
    shared = segments.SharedFunctionalGroupsSequence[0]  # what all frames have in common
    for index, group in enumerate(segments.PerFrameFunctionalGroupsSequence, start=1):
        one = Dataset({**dict(shared.items()), **dict(group.items())})
        segment = one.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        source = one.DerivationImageSequence[0].SourceImageSequence[0]
        if segment == number and source.ReferencedSOPInstanceUID == instance:
            return index
    raise InputError(f"segment {number} is empty in the image that was measured")


def _sentences(report: StructuredReport) -> ContainerContentItem:
    """Return the sentences as the template's container of evaluations (TID 1500, rows 12 to 14)."""
    container = ContainerContentItem(
        name=_EVALUATIONS, is_content_continuous=False,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )  # fmt: skip
    sections: list[tuple[Code, Sequence[Statement]]] = [
        (Code("121106", "DCM", "Comment"), (*report.technique, *report.comparison)),
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
                    value=f"{statement}{mark}",
                    relationship_type=RelationshipTypeValues.CONTAINS,
                )
            )
    container.ContentSequence = items
    return container
