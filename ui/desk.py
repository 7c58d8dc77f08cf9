"""What every part of the reading room shares: the agent, the rooms, the examples, the feedback."""

from dataclasses import dataclass, field
from pathlib import Path

from overread.agent.assistant import Assistant
from overread.imaging.errors import UnknownReference
from overread.imaging.study import Image, ImageRef
from overread.ui.feedback import FeedbackStore
from overread.ui.rooms import Room, Rooms


@dataclass(frozen=True, slots=True)
class Example:
    """A synthetic study that every user may look at.

    Attributes:
        title: For the list. question: To ask about it. refs: Of its images.
        prior: Study id of an earlier one of the same patient among the examples, if any.
    """

    title: str
    question: str
    refs: tuple[str, ...]
    prior: str | None = None

    @property
    def study(self) -> str:
        """Id of the study."""
        return ImageRef.parse(self.refs[0]).study_id


@dataclass(slots=True)
class Desk:
    """The shared parts.

    Attributes:
        assistant: The agent. rooms, feedback: What users left.
        examples: Open to all. downloads: Folder of files that a user is given.
    """

    assistant: Assistant
    rooms: Rooms
    feedback: FeedbackStore
    examples: list[Example] = field(default_factory=list)

    @classmethod
    def of(cls, assistant: Assistant, examples: list[Example]) -> "Desk":
        """Set up below the assistant's data folder."""
        data: Path = assistant.resources.data
        feedback = FeedbackStore(data / "feedback", assistant.resources)
        return cls(assistant, Rooms(data / "rooms"), feedback, examples)

    def image(self, room: Room, text: str) -> Image:
        """Return an image that a room may see.

        Raises:
            UnknownReference: It may not, or there is none; the message is the same.
        """
        ref = ImageRef.parse(text)
        if not room.may_see(ref) and all(str(ref) not in item.refs for item in self.examples):
            raise UnknownReference("this session has no such image")
        try:
            return self.assistant.resources.archive.load(ref)
        except UnknownReference:
            raise UnknownReference("this session has no such image") from None
