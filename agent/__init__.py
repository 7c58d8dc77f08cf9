"""Planner client, graph, evidence ledger, verifier, sessions and the public API."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overread.agent.answer import Answer
    from overread.agent.assistant import Assistant

__all__ = ["Answer", "Assistant"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for, so that `import overread.agent` is quick."""
    if name == "Assistant":
        from overread.agent.assistant import Assistant

        return Assistant
    if name == "Answer":
        from overread.agent.answer import Answer

        return Answer
    raise AttributeError(f"module 'overread.agent' has no attribute '{name}'")
