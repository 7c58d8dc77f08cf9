"""What a question gives back."""

from typing import Literal

from pydantic import BaseModel, computed_field

from overread.agent.ledger import weakest
from overread.tools.base import Artifact, Evidence

DISCLAIMER = (
    "Research prototype, not a medical device. Not for diagnosis or treatment; "
    "a qualified reader must check every statement."
)


class Usage(BaseModel, frozen=True, extra="forbid"):
    """What one call of `ask` cost; a resumed question counts from where it was resumed.

    Attributes:
        steps: Replies of the planner.
        refused_steps: Those of them that were no step, or called a tool wrongly.
        tool_calls: Calls that were run.
        prompt_tokens, completion_tokens: As the server counted them.
        seconds: From the call to the answer.
        model_seconds: Waiting for the planner.
        tool_seconds: In tools; calls that ran side by side count once.
        intake_seconds: Reading, de-identifying and drawing the images.
    """

    steps: int = 0
    refused_steps: int = 0
    tool_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    model_seconds: float = 0.0
    tool_seconds: float = 0.0
    intake_seconds: float = 0.0

    @property
    def own_seconds_per_step(self) -> float:
        """Our own time outside model, tools and intake, per planner step, in seconds."""
        elsewhere = self.model_seconds + self.tool_seconds + self.intake_seconds
        return max(0.0, self.seconds - elsewhere) / max(1, self.steps)


class Removed(BaseModel, frozen=True, extra="forbid"):
    """A sentence that the verifier took out of the answer, why, and what it put there ("": nothing)."""

    sentence: str
    reason: str
    instead: str = ""


class Answer(BaseModel, frozen=True, extra="forbid"):
    """An answer with what it rests on.

    Attributes:
        text: For the user; cites evidence as `[E2]`.
        evidence: All of the session, in order.
        artifacts: Files behind the evidence that the answer cites.
        abstained: There was not enough evidence.
        removed: What the verifier took out.
        waiting: "clarify" when `text` is a question to the user, "sign_off" when `text` is a draft
            that awaits approval; continue with `Assistant.resume`.
        usage: What it cost.
        session: Id to continue with; "" for a direct answer.
        disclaimer: To be shown with every answer.
    """

    text: str
    evidence: tuple[Evidence, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    abstained: bool = False
    removed: tuple[Removed, ...] = ()
    waiting: Literal["clarify", "sign_off"] | None = None
    usage: Usage = Usage()
    session: str = ""
    disclaimer: str = DISCLAIMER

    @computed_field  # type: ignore[prop-decorator]
    @property
    def confidence(self) -> float | None:
        """0..1, of the least sure evidence that the text cites; None if none states one.

        On held-out phantoms it tells right from wrong answers, and how often (docs/evaluation.md).
        """
        entry = weakest(self.text, self.evidence)
        return None if entry is None else entry.confidence
