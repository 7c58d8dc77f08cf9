"""What happens while a question is answered, as small values for the CLI and the UI."""

from dataclasses import dataclass
from typing import Any

from overread.agent.answer import Answer
from overread.tools.base import Evidence


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A question was accepted.

    Attributes:
        session: Id to continue with. images: References, in the order of their numbers.
        resumed: An unfinished question goes on where it stopped.
    """

    session: str
    images: tuple[str, ...]
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class EvidenceAdded:
    """The file itself gave evidence (modality, size) at intake."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer as the planner writes it; `AnswerReady` holds the verified text."""

    text: str


@dataclass(frozen=True, slots=True)
class StepPlanned:
    """The planner decided.

    Attributes:
        number: 1 for the first step of the question. why: Its reason.
        calls: Tool and arguments of each call; empty for an answer.
        seconds: Waiting for the planner.
    """

    number: int
    why: str
    calls: tuple[tuple[str, dict[str, Any]], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A call began; `call` numbers the calls of this question from 1."""

    call: int
    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A call ended: with evidence, or with the sentence that the planner was told instead."""

    call: int
    tool: str
    seconds: float
    evidence: Evidence | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Revising:
    """The verifier objected; tokens so far are void and the planner revises its answer."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerReady:
    """The end: the verified answer, or a question back (`answer.waiting`)."""

    answer: Answer


Event = (
    SessionStarted
    | EvidenceAdded
    | StepPlanned
    | ToolStarted
    | ToolFinished
    | Token
    | Revising
    | AnswerReady
)
