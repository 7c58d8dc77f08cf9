"""What goes into a tool and what comes out: context, result, artifact, evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from overread.imaging.archive import Archive
from overread.imaging.errors import UnknownReference
from overread.imaging.study import Image, ImageRef

if TYPE_CHECKING:
    from overread.index.corpus import TextCorpus
    from overread.index.embedder import Embedder
    from overread.index.store import CaseIndex
    from overread.tools.artifacts import ArtifactStore
    from overread.tools.classifier import Classifier
    from overread.tools.generator import Generator
    from overread.tools.segmenter import Segmenter

Value = float | int | str | bool | None
ArtifactKind = Literal["overlay", "mask", "contact_sheet", "report", "plot", "heat", "synthetic"]


class Artifact(BaseModel, frozen=True, extra="forbid"):
    """A file a tool made, stored by content hash.

    Attributes:
        kind: What it is.
        name: For people ("overlay of heart").
        path: Relative to the artifact store's root.
        sha256: Of the file's bytes.
    """

    kind: ArtifactKind
    name: str
    path: str
    sha256: str


class ToolResult(BaseModel, extra="forbid"):
    """The artifact half of a tool's `content_and_artifact` reply.

    Attributes:
        version: Of the tool and of the model behind it.
        image: Reference of the image the result speaks of.
        values: Numbers and labels the verifier may hold an answer against
            ({"found": True, "target": "nodule", "patient_side": "left", "area_mm2": 134.0}).
        confidence: 0..1, or None when the tool has no notion of it.
        artifacts: Files made.
    """

    version: str
    image: str | None = None
    values: dict[str, Value] = Field(default_factory=dict)
    confidence: float | None = Field(default=None, ge=0.0, le=1.0)
    artifacts: tuple[Artifact, ...] = ()


class Evidence(BaseModel, frozen=True, extra="forbid"):
    """One tool result that an answer can cite as `[E1]`.

    Attributes:
        id: "E1", "E2", ... in order of arrival, unique in a session.
        tool: Name of the tool ("intake" for facts of the file itself).
        arguments: As the planner gave them.
        content: The sentence the planner reads.
        version, image, values, confidence, artifacts: As in `ToolResult`.
    """

    id: str = Field(pattern=r"^E[1-9][0-9]*$")
    tool: str
    arguments: dict[str, object]
    content: str
    version: str
    image: str | None = None
    values: dict[str, Value] = Field(default_factory=dict)
    confidence: float | None = None
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may use. Built anew for every step, so evidence is up to date.

    Attributes:
        images: The session's images; the planner calls them 1, 2, ...
        archive: Where the pixels are.
        artifacts: Where files go.
        segmenter, index: Loaded on first use; `index` returns None when none is built.
        embedder: Loaded on first use. classifier: The same; returns None when none is set.
        passages: Opened on first use; returns None when there is no text corpus.
        generator: Loaded on first use; None where making up pictures is off.
        evidence: So far, oldest first.
        names: What the segmenter knows, where it is not the bundled one: the planner is offered
            these; any word if empty. None for the bundled vocabulary.
        write: Ask the planner VLM for text about an image (image reference or None, instruction).
        exclude_same_patient: Whether retrieval drops the queried patient's own studies.
    """

    images: tuple[ImageRef, ...]
    archive: Archive
    artifacts: "ArtifactStore"
    segmenter: "Callable[[], Segmenter]"
    index: "Callable[[], CaseIndex | None]"
    embedder: "Callable[[], Embedder] | None" = None
    classifier: "Callable[[], Classifier | None]" = lambda: None
    passages: "Callable[[], TextCorpus | None]" = lambda: None
    generator: "Callable[[], Generator] | None" = None
    evidence: tuple[Evidence, ...] = ()
    names: tuple[str, ...] | None = None
    write: Callable[[ImageRef | None, str], str] | None = None
    exclude_same_patient: bool = True

    def image(self, number: int) -> Image:
        """Load image `number` (1-based).

        Raises:
            UnknownReference: The session has no such image.
        """
        return self.archive.load(self.ref(number))

    def ref(self, number: int) -> ImageRef:
        """Return the reference of image `number` (1-based).

        Raises:
            UnknownReference: The session has no such image.
        """
        if not 1 <= number <= len(self.images):
            raise UnknownReference(
                f"there is no image {number}; this session has {len(self.images)} image(s)"
            )
        return self.images[number - 1]
