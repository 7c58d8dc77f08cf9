"""The masks behind a report: which targets were outlined in which images of its series."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from overread.imaging.errors import InputError
from overread.imaging.study import ImageRef, Mask
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Evidence
from overread.tools.clicks import read_mask
from overread.tools.reporting.model import StructuredReport
from overread.tools.reporting.series_sheet import masks_in

Making = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
"""DICOM's words for who drew a segment (PS3.3, C.8.20.2)."""

# As the agent writes the evidence of what a reader drew (agent/ledger.py, agent/reader.py).
_READER, _PROPOSED = "reader", ", proposed by "


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """One target in one image.

    Attributes:
        image: Where. target: What.
        mask: Boolean, (rows, columns) of the image.
        evidence: Id of what it comes from.
        making: Who drew it.
        algorithm: Version of the program that had a part in it; "" where none had.
    """

    image: ImageRef
    target: str
    mask: Mask
    evidence: str
    making: Making
    algorithm: str


def outlined(report: StructuredReport, artifacts: ArtifactStore) -> list[Outlined]:
    """Return the masks of the report's series, the latest of each target and image.

    An outline that a reader had carried through the series is there in each of its images.

    Raises:
        UnknownReference: A mask is no longer in the store.
        InputError: A file in the store is not a mask.
    """
    own = ImageRef.parse(report.image)
    latest: dict[tuple[ImageRef, str], Outlined] = {}
    for entry in report.evidence:
        if entry.image is None:
            continue
        image = ImageRef.parse(entry.image)
        if (image.study_id, image.series) == (own.study_id, own.series):
            latest |= {(item.image, item.target): item for item in _of(entry, image, artifacts)}
    return list(latest.values())


def _of(entry: Evidence, image: ImageRef, artifacts: ArtifactStore) -> Iterator[Outlined]:
    target = entry.values.get("target")
    masks = [artifact for artifact in entry.artifacts if artifact.kind == "mask"]
    if not masks or not isinstance(target, str):
        return
    data = artifacts.read(masks[0])
    try:
        mask = read_mask(data)
    except InputError as error:
        raise InputError(f"the mask of {target} ({entry.id}) cannot be read") from error
    making, algorithm = _made(entry)
    yield Outlined(image, target, mask, entry.id, making, algorithm)
    carried_by = entry.values.get("carried_by")
    sheets = [artifact for artifact in entry.artifacts if artifact.kind == "contact_sheet"]
    if carried_by is None or not sheets:
        return
    for other, found in masks_in(artifacts.read(sheets[0])).items():
        if other != image:
            yield Outlined(other, target, found, entry.id, "SEMIAUTOMATIC", str(carried_by))


def _made(entry: Evidence) -> tuple[Making, str]:
    if entry.tool != _READER:
        return "AUTOMATIC", entry.version
    _, _, helper = entry.version.partition(_PROPOSED)
    return ("SEMIAUTOMATIC", helper) if helper else ("MANUAL", "")
