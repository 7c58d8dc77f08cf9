"""The masks of a report as a DICOM Segmentation, on the grid of the images they were drawn in."""

from collections.abc import Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.sr.codedict import codes

from overread import __version__
from overread.imaging.errors import InputError
from overread.tools.reporting import coding
from overread.tools.reporting.dicom_source import MANUFACTURER, SourceImage, person_name, uid
from overread.tools.reporting.masks import Outlined
from overread.tools.reporting.model import StructuredReport

_SERIES_NUMBER = 900


def segment_numbers(masks: Sequence[Outlined]) -> dict[str, int]:
    """Return the number of each target's segment, from 1."""
    return {name: number for number, name in enumerate(dict.fromkeys(m.target for m in masks), 1)}


def segmentation(
    report: StructuredReport, masks: Sequence[Outlined], sources: Sequence[SourceImage]
) -> Segmentation:
    """Return a binary segmentation, one segment a target, one plane an image.

    Args:
        report: Whose masks they are; an unsigned one marks it as a draft.
        masks: At least one, all of one series.
        sources: The images of the masks.

    Raises:
        InputError: There is no mask, an image is missing, or one has another size than its mask.
    """
    if not masks:
        raise InputError("nothing was outlined for this report, so there is no segmentation")
    numbers = segment_numbers(masks)
    places = {source.ref: index for index, source in enumerate(sources)}
    rows, columns = sources[0].dataset.Rows, sources[0].dataset.Columns
    planes = np.zeros((len(sources), rows, columns, len(numbers)), np.uint8)
    for item in masks:
        if item.image not in places or item.mask.shape != (rows, columns):
            raise InputError(f"the mask of {item.target} ({item.evidence}) fits no image exported")
        planes[places[item.image], :, :, numbers[item.target] - 1] = item.mask
    version = next(iter(dict.fromkeys(item.version for item in masks)))
    algorithm = AlgorithmIdentificationSequence(
        name=version[:64], family=codes.DCM.ArtificialIntelligence, version=version[-64:]
    )
    draft = not report.is_signed
    built = Segmentation(
        source_images=[source.dataset for source in sources],
        pixel_array=planes,
        segmentation_type="BINARY",
        segment_descriptions=[
            SegmentDescription(
                segment_number=number,
                segment_label=target,
                segmented_property_category=coding.category(target),
                segmented_property_type=coding.concept(target),
                algorithm_type="AUTOMATIC",
                algorithm_identification=algorithm,
                tracking_uid=uid("track", report.study_id, target),
                tracking_id=target,
            )
            for target, number in numbers.items()
        ],
        series_instance_uid=uid("seg series", report.study_id, report.status),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid("seg", report.model_dump_json()),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="Overread",
        software_versions=__version__,
        device_serial_number="0",
        content_label="DRAFT" if draft else "SIGNED",
        content_description=("DRAFT - " if draft else "") + "research use only",
        content_creator_name=None if report.signer is None else person_name(report.signer),
        series_description=("DRAFT - " if draft else "") + "Overread segmentation",
    )
    if "PatientOrientation" in sources[0].dataset:  # without a plane, this is all the geometry
        built.PatientOrientation = sources[0].dataset.PatientOrientation
    return built
