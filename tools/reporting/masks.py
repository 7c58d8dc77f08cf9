"""The masks behind a report: which targets were outlined in which images of its series."""

from dataclasses import dataclass

from overread.imaging.errors import InputError
from overread.imaging.study import ImageRef, Mask
from overread.tools.artifacts import ArtifactStore
from overread.tools.clicks import read_mask
from overread.tools.reporting.model import StructuredReport


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """One target in one image: its mask (rows, columns), and the evidence it comes from."""

    image: ImageRef
    target: str
    mask: Mask
    evidence: str
    version: str


def outlined(report: StructuredReport, artifacts: ArtifactStore) -> list[Outlined]:
    """Return the masks of the report's series, the latest of each target and image.

    Raises:
        UnknownReference: A mask is no longer in the store.
        InputError: A file in the store is not a mask.
    """
    own = ImageRef.parse(report.image)
    latest: dict[tuple[ImageRef, str], Outlined] = {}
    for entry in report.evidence:
        target = entry.values.get("target")
        masks = [artifact for artifact in entry.artifacts if artifact.kind == "mask"]
        if entry.image is None or not masks or not isinstance(target, str):
            continue
        image = ImageRef.parse(entry.image)
        if (image.study_id, image.series) != (own.study_id, own.series):
            continue
        data = artifacts.read(masks[0])
        try:
            mask = read_mask(data)
        except InputError as error:
            raise InputError(f"the mask of {target} ({entry.id}) cannot be read") from error
        latest[image, target] = Outlined(image, target, mask, entry.id, entry.version)
    return list(latest.values())
