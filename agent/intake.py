"""Take images in: read, de-identify, store, choose, and say what the files themselves say."""

from collections.abc import Sequence
from pathlib import Path

from overread.agent.resources import Resources
from overread.agent.state import ImageSource
from overread.imaging.errors import InputError, UnknownReference
from overread.imaging.read import read_studies
from overread.imaging.study import Image, ImageRef
from overread.imaging.synthetic import HEADER
from overread.tools import phrases
from overread.tools.base import ToolResult, Value

VERSION = "intake 2"


def check_question(question: str, limit: int) -> str:
    """Return the question without surrounding space.

    Raises:
        InputError: It is empty or too long.
    """
    text = question.strip()
    if not text:
        raise InputError("the question is empty; ask something about the images")
    if len(text) > limit:
        raise InputError(
            f"the question has {len(text)} characters; at most {limit} are allowed "
            "(agent.max_question_chars)"
        )
    return text


def register(resources: Resources, sources: Sequence[ImageSource], limit: int) -> list[ImageRef]:
    """Store images and return the references of those that the planner will see.

    A file of many slices or frames is stored whole and stands for its middle one; another is
    chosen by its reference. Reading blocks: call it off the event loop.

    Args:
        resources: Where to.
        sources: Paths of files or folders, or references of images already stored.
        limit: The most images.

    Raises:
        UnreadableImage: A path is not an image.
        UnknownReference: A reference is not in the archive.
        InputError: There are more images than the limit.
    """
    refs: list[ImageRef] = []
    for source in sources:
        refs.extend(_register_one(resources, source))
    refs = list(dict.fromkeys(refs))
    if len(refs) > limit:
        raise InputError(
            f"{len(refs)} images were given; at most {limit} are allowed (agent.max_images, or the planner's profile)"
        )
    return refs


def _register_one(resources: Resources, source: ImageSource) -> list[ImageRef]:
    if isinstance(source, ImageRef):
        return [resources.archive.load(source).ref]
    path = Path(source).expanduser()
    if isinstance(source, str) and not path.exists():
        try:
            return [resources.archive.load(ImageRef.parse(source)).ref]
        except UnknownReference:
            pass  # not a reference: the reader says what is wrong with the path
    studies = read_studies([path], resources.pseudonymiser)
    resources.archive.add(studies)
    return [
        series.images[len(series.images) // 2].ref for study in studies for series in study.series
    ]


def describe(resources: Resources, ref: ImageRef, number: int) -> tuple[str, ToolResult]:
    """Return the sentence and the values that the file itself gives for image `number`.

    Raises:
        UnknownReference: The image is not in the archive.
    """
    image = resources.archive.load(ref)
    content = phrases.intake(number, image.modality, image.body_part, image.shape, image.spacing_mm)
    values = _values(image)
    study = resources.archive.study(ref.study_id)
    siblings = [other for other in study.refs if _together(ref, other)]
    if len(siblings) > 1:
        values |= {"slice": siblings.index(ref) + 1, "slices": len(siblings)}
        content += f", slice {values['slice']} of {values['slices']}"
    if date := study.header.get("study_date"):
        # For the verifier, not the planner: which of a patient's images is the later one.
        values |= {"study_date": date, "patient": study.patient_id}
    if HEADER in study.header:
        values["synthetic"] = True
        content += ", synthetic: made by a program, of no patient"
    return content, ToolResult(version=VERSION, image=str(ref), values=values)


def _together(one: ImageRef, other: ImageRef) -> bool:
    return (one.study_id, one.series) == (other.study_id, other.series)


def _values(image: Image) -> dict[str, Value]:
    values: dict[str, Value] = {
        "modality": image.modality,
        "body_part": image.body_part,
        "view": image.view,
        "rows": image.shape[0],
        "columns": image.shape[1],
    }
    if image.spacing_mm:
        values |= {"row_spacing_mm": image.spacing_mm[0], "column_spacing_mm": image.spacing_mm[1]}
    return values
