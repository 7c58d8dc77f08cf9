"""What the reader adds to a session by hand: an outline drawn or accepted, as evidence marked so."""

from contextlib import suppress
from dataclasses import dataclass

from overread.agent.intake import describe as describe_file
from overread.agent.ledger import READER, Ledger
from overread.agent.reader_series import through_series
from overread.agent.resources import Resources
from overread.agent.state import Json, State
from overread.imaging.errors import InputError
from overread.imaging.study import Image, ImageRef, Mask
from overread.tools import phrases
from overread.tools.base import Evidence, ToolResult
from overread.tools.fence import clean
from overread.tools.pictures import store_mask, store_overlay
from overread.tools.places import place_of
from overread.tools.segment import describe, find_midline, outlines
from overread.tools.targets import name_in

VERSION = "reader 1"
_MAX_NAME = 60


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """A mask that a reader stands for.

    Attributes:
        ref: Of the image. name: What was outlined, in the reader's words.
        mask: Boolean, (rows, columns) of the image, not empty.
        assisted_by: Version of the segmenter that proposed it; None when drawn by hand alone.
        carried: Whether it is to be carried through the other images of its series.
    """

    ref: ImageRef
    name: str
    mask: Mask
    assisted_by: str | None = None
    carried: bool = False


def additions(
    resources: Resources, values: State, outlined: Outlined, max_images: int
) -> tuple[State, Evidence]:
    """Return what an outline changes in a session's state, and its evidence.

    An image that is new to the session joins it first, with the evidence that its file gives.

    Args:
        resources: Archive, artifacts and segmenter.
        values: The state so far; empty for a new session.
        outlined: What the reader drew.
        max_images: Of a session.

    Raises:
        InputError: The mask is empty or of another shape, it has no name, or there are too many
            images; or it cannot be carried.
        UnknownReference: The image is not in the archive.
    """
    image = resources.archive.load(outlined.ref)
    name = _checked(image, outlined)
    images = list(values.get("images", []))
    before = [Evidence.model_validate(item) for item in values.get("evidence", [])]
    ledger = Ledger(before)
    if str(outlined.ref) not in images:
        if len(images) >= max_images:
            raise InputError(
                f"the session has {max_images} images already, the most that are allowed "
                "(agent.max_images, or the planner's profile); start a new session"
            )
        images.append(str(outlined.ref))
        content, result = describe_file(resources, outlined.ref, len(images))
        ledger.append("intake", {"image": len(images)}, clean(content), result)
    number = images.index(str(outlined.ref)) + 1
    entry = _evidence(ledger, resources, image, number, name, outlined)
    added: list[Json] = [item.model_dump(mode="json") for item in list(ledger)[len(before) :]]
    return {"images": images, "evidence": added}, entry


def _checked(image: Image, outlined: Outlined) -> str:
    if outlined.mask.shape != image.shape:
        raise InputError(f"the mask has shape {outlined.mask.shape}, the image {image.shape}")
    if not outlined.mask.any():
        raise InputError("the mask is empty; outline something first")
    name = clean(outlined.name).strip()
    if not name or len(name) > _MAX_NAME:
        raise InputError(f"say in 1 to {_MAX_NAME} characters what was outlined")
    return name


def _evidence(
    ledger: Ledger, resources: Resources, image: Image, number: int, name: str, outlined: Outlined
) -> Evidence:
    segmenter = resources.segmenter()
    with suppress(InputError):  # a name of the reader's own is as good as one of the vocabulary
        name = name_in(segmenter, name)
    around = outlines(segmenter, image)
    midline = find_midline(around, image, name)
    place = place_of(image, name, outlined.mask, around)
    values = describe(image, name, outlined.mask, midline, place)
    artifacts = [
        store_overlay(resources.artifacts, image, {name: outlined.mask}),
        store_mask(resources.artifacts, outlined.mask, name),
    ]
    more = ""
    if outlined.carried:
        through, more, sheet = through_series(resources, image.ref, outlined.mask, name)
        values |= through
        artifacts.append(sheet)
    helper = f", proposed by {outlined.assisted_by}" if outlined.assisted_by else ""
    result = ToolResult(
        version=f"{VERSION}{helper}",
        image=str(image.ref),
        values=values,
        artifacts=tuple(artifacts),
    )
    found = phrases.segmented(number, name, values, 1.0).removesuffix("; confidence 1.00")
    content = found.replace("segment", "outlined by the reader:", 1) + (more and f"; {more}")
    return ledger.append(READER, {"image": number, "target": name}, content, result)
