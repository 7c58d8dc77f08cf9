"""What a session remembers: references and small JSON, never pixels."""

import operator
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict

from overread.imaging.study import ImageRef

Json = dict[str, Any]
ImageSource = str | Path | ImageRef


class State(TypedDict, total=False):
    """The state of the graph, as checkpoints hold it.

    Attributes:
        question: The current one. expected_images: How many images came with it.
        may_ask, sign_off: Whether a person is there to reply, and to approve.
        images: References, in the order of their numbers; all questions of the session share them.
        evidence: `Evidence` as JSON; only ever appended to.
        transcript: `prompts.Entry` as JSON, oldest first.
        seen: Calls of the session, to the id of their evidence ("" when they failed).
        asked: Calls of this question.
        steps, calls, loops: Of this question: planner steps, tool calls, steps of repeats alone.
        step: The planner's last step, as JSON; None when its reply was no step.
        draft: The answer before verification. problems: What the verifier objects to.
        revised: Whether the one revision is used up.
        result: Text, abstained, removed; None while the question is open.
    """

    question: str
    expected_images: int
    may_ask: bool
    sign_off: bool
    images: list[str]
    evidence: Annotated[list[Json], operator.add]
    transcript: list[Json]
    seen: dict[str, str]
    asked: list[str]
    steps: int
    calls: int
    loops: int
    step: Json | None
    draft: str
    problems: list[Json]
    revised: bool
    result: Json | None


@dataclass
class Clock:
    """Where the time and the tokens of one run went; seconds."""

    began: float = field(default_factory=time.perf_counter)
    model: float = 0.0
    tools: float = 0.0
    intake: float = 0.0
    steps: int = 0
    calls: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return time.perf_counter() - self.began

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        """Add the time of a block to `what`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) + time.perf_counter() - began)


@dataclass
class Run:
    """What one run brings that must not reach a checkpoint.

    Attributes:
        sources: Paths (they may name a patient) or references of the images to take in.
        clock: Filled while the run goes on.
    """

    sources: Sequence[ImageSource] = ()
    clock: Clock = field(default_factory=Clock)
