"""The masks of a report as a DICOM Segmentation, on the grid of the images they were drawn in."""

from collections.abc import Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from overread import __version__
from overread.imaging.errors import InputError
from overread.tools.reporting import coding
from overread.tools.reporting.dicom_source import MANUFACTURER, SourceImage, described, uid
from overread.tools.reporting.dicom_text import line, person_name
from overread.tools.reporting.masks import Making, Outlined
from overread.tools.reporting.model import StructuredReport

_SERIES_NUMBER = 900


def segmentations(
    report: StructuredReport, masks: Sequence[Outlined], sources: Sequence[SourceImage]
) -> list[Segmentation]:
    """Return binary segmentations, one segment a target: one of each stack of images.

    Images that lie parallel in one frame of reference are a stack. One whose place is not known is
    a stack of its own.

    Args:
        report: Whose masks they are; an unsigned one marks it as a draft.
        masks: At least one, all of one series.
        sources: The images of the masks.

    Raises:
        InputError: There is no mask, an image is missing, or one has another size than its mask.
    """
    if not masks:
        raise InputError("nothing was outlined for this report, so there is no segmentation")
    sizes = {source.ref: (source.dataset.Rows, source.dataset.Columns) for source in sources}
    for item in masks:
        if sizes.get(item.image) != item.mask.shape:
            raise InputError(f"the mask of {item.target} ({item.evidence}) fits no image exported")
    outlined = {item.image for item in masks}
    stacks: dict[tuple[str, ...], list[SourceImage]] = {}
    for source in sources:
        if source.ref in outlined:
            stacks.setdefault(_stack(source), []).append(source)
    return [
        _segmentation(report, masks, stack, number)
        for number, stack in enumerate(stacks.values(), start=1)
    ]


def _stack(source: SourceImage) -> tuple[str, ...]:
    data = source.dataset
    if "FrameOfReferenceUID" not in data:
        return (str(source.ref),)
    grid = (data.Rows, data.Columns, *data.PixelSpacing, *data.ImageOrientationPatient)
    return (data.FrameOfReferenceUID, *map(str, grid))


def _segmentation(
    report: StructuredReport,
    masks: Sequence[Outlined],
    sources: Sequence[SourceImage],
    instance: int,
) -> Segmentation:
    """Return the segmentation of one stack, the `instance`-th of its series, a plane an image."""
    places = {source.ref: index for index, source in enumerate(sources)}
    own = [item for item in masks if item.image in places]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(m.target for m in own), 1)}
    rows, columns = sources[0].dataset.Rows, sources[0].dataset.Columns
    planes = np.zeros((len(sources), rows, columns, len(numbers)), np.uint8)
    for item in own:
        planes[places[item.image], :, :, numbers[item.target] - 1] = item.mask
    draft = not report.is_signed
    built = Segmentation(
        source_images=[source.dataset for source in sources],
        pixel_array=planes,
        segmentation_type="BINARY",
        segment_descriptions=[
            _described(report, number, [item for item in own if item.target == target])
            for target, number in numbers.items()
        ],
        series_instance_uid=uid("seg series", report.study_id, report.status),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid("seg", report.model_dump_json(), instance),
        instance_number=instance,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="Overread",
        software_versions=__version__,
        device_serial_number="0",
        content_label="DRAFT" if draft else "SIGNED",
        content_description=described(report, "research use only"),
        content_creator_name=None if report.signer is None else person_name(report.signer),
        series_description=described(report, "Overread segmentation"),
    )
    if report.synthetic:
        built.SyntheticData = "YES"
    if "PatientOrientation" in sources[0].dataset:  # without a plane, this is all the geometry
        built.PatientOrientation = sources[0].dataset.PatientOrientation
    return built


def _described(
    report: StructuredReport, number: int, masks: Sequence[Outlined]
) -> SegmentDescription:
    """Return what segment `number` is, and who drew it; the masks are all of its own."""
    target = masks[0].target
    making, algorithm = _making(masks)
    found = SegmentDescription(
        segment_number=number,
        segment_label=line(target),
        segmented_property_category=coding.category(target),
        segmented_property_type=coding.concept(target),
        algorithm_type=making,
        algorithm_identification=algorithm,
        tracking_uid=uid("track", report.study_id, target),
        tracking_id=target,
    )
    if side := coding.laterality(target):
        kind = found.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [CodedConcept.from_code(side)]
    return found


def _making(masks: Sequence[Outlined]) -> tuple[Making, AlgorithmIdentificationSequence | None]:
    """Return who drew a segment, and by what; a person and a program together are both."""
    kinds = {item.making for item in masks}
    making: Making = masks[0].making if len(kinds) == 1 else "SEMIAUTOMATIC"
    versions = "; ".join(dict.fromkeys(item.algorithm for item in masks if item.algorithm))
    if making == "MANUAL":
        return making, None
    return making, AlgorithmIdentificationSequence(
        name=line(versions), family=codes.DCM.ArtificialIntelligence, version=line(versions[-64:])
    )
