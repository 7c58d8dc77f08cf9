"""What is learnt from: an example with its images and reference, and a pair of answers.

One a line of a JSON-lines file. Phantoms are named, not stored: they are drawn anew from their
numbers, which costs less than keeping pixels, and no picture of a patient is ever copied.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import ORDINARY, open_whole
from overread.imaging.phantoms.seeds import Case, split_of
from overread.imaging.phantoms.truth import Split

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Message = dict[str, Any]
"""OpenAI-style: "role" and "content", a text or parts of type "text" and "image"."""

VIEW_SIZE = 224
"""Edge of the bundled planner's view, in pixels."""

KEPT_VIEWS = 256
"""Views kept in memory: the questions about one image are often asked close together."""

PairKind = Literal["look", "use_context", "resist_context", "call_tool", "correction"]


class PhantomRef(BaseModel, frozen=True, extra="forbid"):
    """A phantom; see `overread.imaging.phantoms.generate`.

    Attributes:
        domain, patient, visit: What `generate` takes.
        as_png: Whether it is read as a bare picture, of which the file says nothing.
    """

    kind: Literal["phantom"] = "phantom"
    domain: str
    patient: int
    visit: int = 0
    as_png: bool = False

    @property
    def patient_id(self) -> str:
        """As of the phantom."""
        return Case(self.domain, self.patient, self.visit, 0).patient_id


class FileRef(BaseModel, frozen=True, extra="forbid"):
    """An image file of any kind that `overread.imaging` reads."""

    kind: Literal["file"] = "file"
    path: Path


ImageRef = Annotated[PhantomRef | FileRef, Field(discriminator="kind")]


class Example(BaseModel, frozen=True, extra="forbid"):
    """Something to learn, or to be paid for.

    Attributes:
        id: Unique in its source.
        dataset: Name of the source.
        task: "closed", "open", "measurement", "grounding", "report", "tool_use" or another.
        patient: What splits keep together.
        split: Of the patient.
        messages: A conversation; image parts stand for `images`, in this order.
        images: Of the conversation.
        learn: For each assistant message whether it is learnt; None for all.
        reference: What a reward or a metric needs: "answers", "kind", "options", "boxes",
            "findings", "unit" and the like. JSON-able.
        fingerprint: As `overread.evals.items.Item.fingerprint` where it is such an item, else "".
    """

    id: str
    dataset: str
    task: str
    patient: str
    split: Split
    messages: list[Message]
    images: list[ImageRef] = []
    learn: list[bool] | None = None
    reference: dict[str, Any] = {}
    fingerprint: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        replies = sum(message["role"] == "assistant" for message in self.messages)
        if self.learn is not None and len(self.learn) != replies:
            raise ValueError(f"learn has {len(self.learn)} marks for {replies} assistant messages")
        return self


class Pair(BaseModel, frozen=True, extra="forbid"):
    """A better and a worse reply to the same prompt.

    Attributes:
        id, dataset, patient, split: As of an `Example`.
        kind: Why the pair was made.
        messages: The prompt; ends with a user message.
        images: Of the prompt.
        chosen, rejected: The replies.
        rejected_images: What the rejected reply saw, where it is not `images`.
        noise: How those were made.
        task: As of an `Example`.
    """

    id: str
    dataset: str
    kind: PairKind
    patient: str
    split: Split
    messages: list[Message]
    images: list[ImageRef] = []
    chosen: str
    rejected: str
    rejected_images: list[ImageRef] | None = None
    noise: dict[str, Any] | None = None
    task: str = ""


Line = TypeVar("Line", Example, Pair)


def as_parts(messages: Iterable[Message]) -> list[Message]:
    """Return messages in which each image's address is replaced by a bare image part."""

    def part(shown: dict[str, Any]) -> dict[str, Any]:
        return {"type": "image"} if shown["type"] == "image_url" else shown

    return [
        message if isinstance(message["content"], str)
        else {**message, "content": [part(shown) for shown in message["content"]]}
        for message in messages
    ]  # fmt: skip


def open_image(ref: PhantomRef | FileRef, size: int = VIEW_SIZE) -> "Picture":
    """Return an image as the planner sees it: square, RGB, the whole image, black beside it.

    Args:
        ref: What to show.
        size: Edge in pixels.

    Raises:
        UnreadableImage: The file is not an image.
    """
    return _view(ref, size).copy()


def of_test_split(line: Example | Pair) -> bool:
    """Return whether a line is of the test split, or shows a phantom of it whatever it states."""
    shown = (ref for ref in _refs(line) if isinstance(ref, PhantomRef))
    return line.split == "test" or any(split_of(ref.patient_id) == "test" for ref in shown)


def check_images(line: Example | Pair) -> None:
    """Hold the image parts of the messages against the images.

    Raises:
        InputError: Their numbers differ.
    """
    parts = sum(
        part["type"] == "image"
        for message in line.messages
        if isinstance(message["content"], list)
        for part in message["content"]
    )
    if parts != len(line.images):
        raise InputError(
            f"'{line.id}' shows {parts} images in its messages, but names {len(line.images)}"
        )


def missing_images(examples: Iterable[Example | Pair]) -> list[Path]:
    """Return the image files that are not there, each once, in order."""
    refs = (ref for example in examples for ref in _refs(example))
    paths = dict.fromkeys(ref.path for ref in refs if isinstance(ref, FileRef))
    return [path for path in paths if not path.is_file()]


def read_lines(path: Path, of: type[Line]) -> Iterator[Line]:
    """Yield the lines of a JSON-lines file.

    Raises:
        InputError: It cannot be read, or a line is wrong; the message names it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    yield _parse(path, number, text, of)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def write_lines(path: Path, lines: Iterable[Example] | Iterable[Pair]) -> int:
    """Write a JSON-lines file, whole, and return the number of its lines.

    Raises:
        ConfigError: It cannot be written.
    """
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_whole(path, mode=ORDINARY) as file:
            for line in lines:
                file.write(line.model_dump_json().encode() + b"\n")
                written += 1
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return written


def _parse(path: Path, number: int, text: str, of: type[Line]) -> Line:
    try:
        line = of.model_validate_json(text)
        check_images(line)
        return line
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        why = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}, line {number}: {f'{where}: ' if where else ''}{why}") from error
    except InputError as error:
        raise InputError(f"{path}, line {number}: {error}") from error


def _refs(example: Example | Pair) -> list[PhantomRef | FileRef]:
    others = example.rejected_images if isinstance(example, Pair) else None
    return [*example.images, *(others or [])]


@lru_cache(maxsize=KEPT_VIEWS)
def _view(ref: PhantomRef | FileRef, size: int) -> "Picture":
    from overread.imaging.render import for_planner

    if isinstance(ref, PhantomRef):
        from overread.imaging.phantoms import generate
        from overread.training.phantom_cache import session_image

        phantom = generate(ref.domain, ref.patient, ref.visit)
        return for_planner(session_image(phantom, ref.as_png), size)
    from overread.evals.items import Item
    from overread.evals.subjects.pictures import load_images

    item = Item(id=ref.path.name, question="", images=(ref.path,), answers=(), kind="open")
    return for_planner(load_images(item)[0], size)
