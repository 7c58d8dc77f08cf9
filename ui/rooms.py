"""One reader's session in the reading room as a file: what was asked, said, found and signed.

The agent keeps its own checkpoints; a room keeps what a person sees. A room belongs to the user in
whose folder it lies, and to nobody else.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from overread.agent.sessions import check_session_id, new_session_id
from overread.imaging.errors import ConfigError, InputError, UnknownReference
from overread.imaging.files import write_whole
from overread.imaging.study import ImageRef
from overread.tools import cases
from overread.tools.base import Evidence
from overread.ui.users import check_user

UNTITLED = "New session"
MAX_TITLE = 80


class Turn(BaseModel):
    """One question.

    Attributes:
        question: In the reader's words.
        at: Position of the agent's session before it; None at the beginning.
        message: Index of its message. evidence: How much there was before.
        asked: References that the agent had before. images: Those that came with it.
        done: Whether it was answered. answer: As verified. error: Why it was not.
    """

    question: str
    at: str | None
    message: int
    evidence: int
    asked: list[str]
    images: list[str] = []
    done: bool = False
    answer: str | None = None
    error: str | None = None


class Report(BaseModel):
    """The report as the editor shows it; the agent keeps the report itself (`assistant.reports`).

    Attributes:
        image: Reference of the image it is about.
        draft: As composed, Markdown. text: As the reader left it.
        typed: What the reader has typed since and not saved; None if nothing.
        signed_by: Who signed; None for a draft. signed_at: When, for people.
    """

    image: str
    draft: str
    text: str
    typed: str | None = None
    signed_by: str | None = None
    signed_at: str = ""


class Room(BaseModel):
    """A session as its reader sees it.

    Attributes:
        id: Also the agent's session. title: For the list.
        made, changed: Seconds since 1970.
        images: References of all that was opened here.
        opened: When each study was, seconds since 1970.
        asked: References of the images that the agent has.
        turns, messages, evidence: Oldest first; messages are those of `gr.Chatbot`.
        artifacts: Paths of all artifacts ever made here, those of undone questions too.
        report: None until one is drafted.
        thumbs: Index of an answer's message to "up" or "down".
        consent: Whether thumbs and edits may be learnt from.
    """

    id: str
    title: str = UNTITLED
    made: float = Field(default_factory=time.time)
    changed: float = Field(default_factory=time.time)
    images: list[str] = []
    opened: dict[str, float] = {}
    asked: list[str] = []
    turns: list[Turn] = []
    messages: list[dict[str, Any]] = []
    evidence: list[Evidence] = []
    artifacts: list[str] = []
    report: Report | None = None
    thumbs: dict[int, str] = {}
    consent: bool = False

    def name_after(self, question: str) -> None:
        """Give a room without a title the first words of a question."""
        if self.title == UNTITLED:
            self.title = " ".join(question.split())[:MAX_TITLE] or UNTITLED

    def remember(self, evidence: Evidence) -> None:
        """Add evidence, once, and the artifacts behind it."""
        if evidence.id not in {item.id for item in self.evidence}:
            self.evidence.append(evidence)
        paths = [artifact.path for artifact in evidence.artifacts]
        self.artifacts = list(dict.fromkeys([*self.artifacts, *paths]))

    def find(self, evidence_id: str) -> Evidence:
        """Return evidence by its id.

        Raises:
            UnknownReference: There is none.
        """
        for item in self.evidence:
            if item.id == evidence_id:
                return item
        raise UnknownReference(f"this session has no evidence '{evidence_id:.12}'")

    def may_see(self, ref: ImageRef) -> bool:
        """Whether an image was opened here, or is a case that evidence of this room names."""
        return str(ref) in self.images or ref.study_id in self.neighbours()

    def neighbours(self) -> dict[str, str]:
        """Return the studies of similar cases that evidence names, with what they are called."""
        return {
            study: f"{item.id} {name}"
            for item in self.evidence
            for name, study in cases.studies(item.values).items()
        }

    def turn_of(self, message: int) -> int:
        """Return the number of the question (0-based) that a message belongs to.

        Raises:
            UnknownReference: There is none.
        """
        for number in reversed(range(len(self.turns))):
            if self.turns[number].message <= message < len(self.messages):
                return number
        raise UnknownReference("there is no such question in this session")

    def rewind(self, number: int) -> Turn:
        """Take back question `number` (0-based) and all after it, and return it.

        Raises:
            UnknownReference: There is no such question.
        """
        if not 0 <= number < len(self.turns):
            raise UnknownReference("there is no such question in this session")
        turn = self.turns[number]
        self.turns = self.turns[:number]
        del self.messages[turn.message :]
        self.evidence, self.asked = self.evidence[: turn.evidence], turn.asked
        self.thumbs = {i: thumb for i, thumb in self.thumbs.items() if i < turn.message}
        if self.report and self.report.signed_by is None:
            self.report = None
        return turn


class Rooms:
    """All rooms of all users: a folder for each user, a file for each room."""

    def __init__(self, root: Path) -> None:
        """Keep rooms below `root`, which is made when needed."""
        self._root = root
        self._open: dict[tuple[str, str], Room] = {}
        self._lock = RLock()

    def new(self, user: str) -> Room:
        """Return an empty room; it is stored when it is first saved."""
        room = Room(id=new_session_id())
        with self._lock:
            self._open[check_user(user), room.id] = room
        return room

    def get(self, user: str, session: str) -> Room:
        """Return a user's room; callers at the same time share it.

        Raises:
            UnknownReference: This user has no such room, whoever else may have it.
        """
        path = self._path(user, session)
        with self._lock:
            if (user, session) in self._open:
                return self._open[user, session]
            try:
                room = Room.model_validate_json(path.read_bytes())
            except (FileNotFoundError, ValidationError):
                raise UnknownReference("there is no such session") from None
            self._open[user, session] = room
            return room

    def save(self, user: str, room: Room) -> None:
        """Write a room.

        Raises:
            ConfigError: It cannot be written.
        """
        path = self._path(user, room.id)
        with self._lock:
            if self._open.get((user, room.id)) is not room:
                return  # deleted meanwhile: a question that ends late does not bring it back
            room.changed = time.time()
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_whole(path, room.model_dump_json())
            except OSError as error:
                raise ConfigError(f"{path} cannot be written ({error.strerror})") from error

    def drop(self, user: str, session: str) -> None:
        """Delete a room's file."""
        with self._lock:
            self._open.pop((user, session), None)
            self._path(user, session).unlink(missing_ok=True)

    def of(self, user: str) -> list[Room]:
        """Return a user's rooms, the one that was changed last first."""
        folder = self._folder(user)
        rooms = [self.get(user, path.stem) for path in folder.glob("*.json")]
        return sorted(rooms, key=lambda room: -room.changed)

    def all(self) -> Iterator[tuple[str, Room]]:
        """Yield every room with its user."""
        for folder in sorted(self._root.glob("*")):
            for room in self.of(folder.name):
                yield folder.name, room

    def _folder(self, user: str) -> Path:
        return self._root / check_user(user)

    def _path(self, user: str, session: str) -> Path:
        try:
            return self._folder(user) / f"{check_session_id(session)}.json"
        except InputError:
            raise UnknownReference("there is no such session") from None
