"""The measurement groups of a Structured Report (TID 1410, 1411 and 1501): one finding each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from highdicom.seg import Segmentation
from highdicom.sr import (
    CodedConcept,
    CoordinatesForMeasurement,
    Measurement,
    MeasurementProperties,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    ReferencedSegmentationFrame,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    SourceImageForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from overread.imaging.errors import InputError
from overread.tools.base import Evidence
from overread.tools.reporting import coding
from overread.tools.reporting.dicom_source import uid
from overread.tools.reporting.figures import Figure, figures, series_volume, structure
from overread.tools.reporting.masks import Outlined

_PRESENCE = Code("705057003", "SCT", "Presence")
_PRESENT, _ABSENT = Code("52101004", "SCT", "Present"), Code("2667000", "SCT", "Absent")
_LATERALITY = Code("272741003", "SCT", "Laterality")

Group = (
    PlanarROIMeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
    | MeasurementsAndQualitativeEvaluations
)


def groups(
    entry: Evidence,
    images: dict[str, Dataset],
    masks: Sequence[Outlined],
    segments: Sequence[Segmentation],
) -> list[Group]:
    """Return the groups of a segmentation or a measurement; none for other evidence.

    Args:
        entry: Of one of the images.
        images: By reference.
        masks: Those that are in `segments`.
        segments: The segmentations that go with the report.

    Raises:
        InputError: A mask is in none of them.
    """
    if entry.image not in images or not ({"found", "quantity"} & entry.values.keys()):
        return []
    found = [_in_image(entry, images[entry.image], masks, segments)]
    if volume := series_volume(entry):
        found.append(_in_series(entry, volume, images, masks, segments))
    return found


def _in_image(
    entry: Evidence, image: Dataset, masks: Sequence[Outlined], segments: Sequence[Segmentation]
) -> Group:
    values, name = entry.values, structure(entry)
    tracking = TrackingIdentifier(uid=uid("finding", entry.model_dump_json()), identifier=entry.id)
    evaluations = []
    if "found" in values:
        presence = _PRESENT if values["found"] else _ABSENT
        evaluations.append(QualitativeEvaluation(_PRESENCE, presence))
    # What a name says of the side goes before where the outline lies in the picture.
    lies = coding.SIDES.get(str(values.get("patient_side")) if values.get("found") else "")
    if side := coding.laterality(name or "") or lies:
        evaluations.append(QualitativeEvaluation(_LATERALITY, side))
    shared: dict[str, Any] = {
        "tracking_identifier": tracking,
        "finding_type": None if name is None else coding.concept(name),
        "measurements": [_measurement(one, _places(entry, image)) for one in figures(entry)],
        "qualitative_evaluations": evaluations,
    }
    mask = next((m for m in masks if (m.evidence, str(m.image)) == (entry.id, entry.image)), None)
    if mask is not None:
        segment = _frame_of(segments, mask.target, image)
        return PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **shared)
    source = SourceImageForMeasurementGroup.from_source_image(image)
    return MeasurementsAndQualitativeEvaluations(source_images=[source], **shared)


def _in_series(
    entry: Evidence,
    volume: Figure,
    images: dict[str, Dataset],
    masks: Sequence[Outlined],
    segments: Sequence[Segmentation],
) -> Group:
    """Return the volume of an outline that was carried through its series.

    It is the segment's where there is one, and all of it comes from this evidence.
    """
    target = str(entry.values["target"])
    shared: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(
            uid=uid("finding", "series", entry.model_dump_json()),
            identifier=f"{entry.id} in its series",
        ),
        "finding_type": coding.concept(target),
        "measurements": [_measurement(volume)],
    }
    own = [item for item in masks if item.target == target]
    shown = [images[str(item.image)] for item in own if item.evidence == entry.id]
    if len(segments) == 1 and own and len(shown) == len(own):
        segment = ReferencedSegment(
            sop_class_uid=segments[0].SOPClassUID,
            sop_instance_uid=segments[0].SOPInstanceUID,
            segment_number=_numbers(segments[0])[target],
            source_images=[SourceImageForSegmentation.from_source_image(one) for one in shown],
        )
        return VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=segment, **shared
        )
    sources = [
        SourceImageForMeasurementGroup.from_source_image(one)
        for one in shown or [images[str(entry.image)]]
    ]
    return MeasurementsAndQualitativeEvaluations(source_images=sources, **shared)


def _measurement(figure: Figure, places: CoordinatesForMeasurement | None = None) -> Measurement:
    """Return a number with its error as the upper and lower uncertainty, of one standard deviation.

    Source: DICOM PS3.16, TID 310; JCGM 100:2008, 2.3.1 (standard uncertainty).
    """
    name = figure.name if figure.reference is None else f"{figure.name} to {figure.reference}"
    unit = coding.unit(figure.unit)
    properties = None
    if figure.error is not None:
        properties = MeasurementProperties(
            upper_measurement_uncertainty=figure.error, lower_measurement_uncertainty=figure.error
        )
        for item in properties:  # highdicom writes them without a unit
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [
                CodedConcept.from_code(unit)
            ]
    return Measurement(
        name=coding.concept(name),
        value=figure.value,
        unit=unit,
        properties=properties,
        referenced_coordinates=None if places is None else [places],
    )


def _places(entry: Evidence, image: Dataset) -> CoordinatesForMeasurement | None:
    """Return the two points or the box that was measured; None where it was a structure.

    Source: DICOM PS3.3, C.18.6.1.2 (the first pixel's centre lies at half a pixel).
    """
    points, box = entry.arguments.get("points"), entry.arguments.get("box")
    if "quantity" not in entry.values or structure(entry) is not None:
        return None
    if isinstance(points, list) and points:
        corners = np.array(points, np.float64) + 0.5
    elif isinstance(box, list) and box:
        left, top, right, bottom = box[0], box[1], box[2] + 1, box[3] + 1
        corners = np.array(
            [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], np.float64
        )
    else:
        return None
    source = SourceImageForRegion.from_source_image(image)
    return CoordinatesForMeasurement("POLYLINE", corners, source)


def _frame_of(
    segments: Sequence[Segmentation], target: str, image: Dataset
) -> ReferencedSegmentationFrame:
    """Return a reference to the frame that shows a target in an image.

    The frame names its segment, so the reference does not: PS3.3, Table C.17.2-3 wants one of both.

    Raises:
        InputError: No segmentation has it.
    """
    for one in segments:
        number = _numbers(one).get(target)
        frame = None if number is None else _frame(one, number, image.SOPInstanceUID)
        if number is None or frame is None:
            continue
        reference = ReferencedSegmentationFrame(
            sop_class_uid=one.SOPClassUID,
            sop_instance_uid=one.SOPInstanceUID,
            frame_number=frame,
            segment_number=number,
            source_image=SourceImageForSegmentation.from_source_image(image),
        )
        for item in reference:
            referenced = item.ReferencedSOPSequence[0]
            if "ReferencedSegmentNumber" in referenced:
                del referenced.ReferencedSegmentNumber
        return reference
    raise InputError(f"the outline of {target} is empty in the image that was measured")


def _numbers(segments: Segmentation) -> dict[str, int]:
    """Return the number of each target's segment."""
    return {str(item.TrackingID): item.SegmentNumber for item in segments.SegmentSequence}


def _frame(segments: Segmentation, number: int, instance: str) -> int | None:
    """Return the number, from 1, of the frame that shows a segment in an image; None if none does."""
    shared = segments.SharedFunctionalGroupsSequence[0]  # what all frames have in common
    for index, group in enumerate(segments.PerFrameFunctionalGroupsSequence, start=1):
        one = Dataset({**dict(shared.items()), **dict(group.items())})
        segment = one.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        source = one.DerivationImageSequence[0].SourceImageSequence[0]
        if segment == number and source.ReferencedSOPInstanceUID == instance:
            return index
    return None
