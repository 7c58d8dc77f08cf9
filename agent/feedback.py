"""The sentences in which the agent answers the planner. Training writes its traces with them too."""

from collections.abc import Sequence

from overread.agent.verifier import Problem

MUST_ANSWER = "No further tool calls: answer now from the evidence so far."
NOT_ENOUGH = "There is not enough evidence to answer this question."


def tool_failed(tool: str, message: str) -> str:
    """Say why a call gave no evidence.

    >>> tool_failed("segment", "there is no image 3")
    'segment failed: there is no image 3'
    """
    return f"{tool} failed: {message}"


def tool_timed_out(tool: str, seconds: float) -> str:
    """Say that a call was given up."""
    return tool_failed(tool, f"no result within {seconds:g} s")


def repeated(tool: str, line: str | None) -> str:
    """Say that a call was not run again.

    Args:
        tool: Its name.
        line: The evidence line it gave before; None when it failed.
    """
    return f"{tool}: the same call was made before; {line or 'it failed'}"


def invalid(message: str) -> str:
    """Say why a reply could not be used."""
    return f"Invalid step: {message}."


def complaint(problems: Sequence[Problem]) -> str:
    """Say what the verifier objects to.

    >>> complaint([Problem("There is a nodule [E2].", "E2 did not find a nodule")])
    'Not supported: "There is a nodule [E2]." E2 did not find a nodule. Revise the answer.'
    """
    lines = " ".join(f'"{problem.sentence}" {problem.reason}.' for problem in problems)
    return f"Not supported: {lines} Revise the answer."


def clarified(reply: str) -> str:
    """Hand the user's reply to a question of the planner's."""
    return f"The user replies: {reply}"
