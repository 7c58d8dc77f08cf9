"""What an agent's session came to: the "completion" that rewards of the tool-use task read."""

from typing import Any

from pydantic import BaseModel, ValidationError

from overread.imaging.errors import InputError


class SessionRecord(BaseModel, frozen=True, extra="forbid"):
    """One rollout of the agent, as JSON.

    Attributes:
        answer: The verified answer, as a user would read it; "" where the session failed.
        evidence: All that the tools gave: "id", "tool", "content", "values", "arguments", ...
        replies: Times that the planner replied.
        valid: Replies that were a step.
        calls: Tool calls that were run.
        failed_calls: Those that gave no evidence.
        removed: Sentences that the verifier took out.
        abstained: Whether the answer is that there is none.
        failure: Why the session ended without an answer; "" where it did not.
    """

    answer: str = ""
    evidence: tuple[dict[str, Any], ...] = ()
    replies: int = 0
    valid: int = 0
    calls: int = 0
    failed_calls: int = 0
    removed: int = 0
    abstained: bool = False
    failure: str = ""


def read_session(completion: str) -> SessionRecord:
    """Return the record that a completion of the tool-use task holds.

    Raises:
        InputError: It is not one: the rollouts of the tool-use task did not write it.
    """
    try:
        return SessionRecord.model_validate_json(completion)
    except ValidationError as error:
        raise InputError(
            f"a completion of the tool-use task is no session record ({error.errors()[0]['msg']}); "
            "it is scored on what overread.training.rollouts writes"
        ) from error
