"""The agent as a subject that tells all it did: every call that was planned, all its evidence."""

from collections.abc import Mapping
from typing import Any

from overread.agent import Assistant
from overread.agent.answer import Answer
from overread.agent.config import Config
from overread.agent.context import BuildTools
from overread.agent.events import AnswerReady, StepPlanned
from overread.agent.profiles import load_profile
from overread.agent.threads import in_thread
from overread.evals.items import Item
from overread.evals.subjects.agent import ablated
from overread.evals.subjects.base import Reply
from overread.imaging.errors import PlannerUnavailable
from overread.tools.registry import build_tools

_TOLD = {"id", "tool", "content", "arguments", "values"}


class TracedAgent:
    """Asks the agent, each item in a session of its own; same-patient retrieval is off."""

    def __init__(
        self,
        name: str,
        config: Config,
        identity: Mapping[str, Any],
        without: str = "",
        build: BuildTools = build_tools,
    ) -> None:
        """Prepare; folders and models are opened by the first question.

        Args:
            name: In tables.
            config: Of the agent; its index's policy is part of the identity.
            identity: What decides its answers beside the configuration.
            without: As in `ablated`.
            build: Makes the tools.

        Raises:
            InputError: There is no such ablation.
        """
        self.name = name
        self._config, self._build = ablated(config, without), build
        self.identity: Mapping[str, Any] = {
            "kind": "traced agent",
            "agent": self._config.agent.model_dump(mode="json"),
            "policy": self._config.index.model_dump(mode="json"),
            **identity,
        }
        self._assistant: Assistant | None = None

    async def answer(self, item: Item, prompt: str, seed: int) -> Reply:
        """As `Subject.answer`; the agent decodes at temperature 0, the seed changes nothing."""
        if self._assistant is None:
            profile = load_profile(self._config.planner.profile)
            self._assistant = Assistant(self._config, profile, self._build)
        answer: Answer | None = None
        calls: list[dict[str, Any]] = []
        async for event in self._assistant.astream(prompt, list(item.images), keep=False):
            if isinstance(event, StepPlanned):
                calls += [{"tool": tool, "arguments": given} for tool, given in event.calls]
            elif isinstance(event, AnswerReady):
                answer = event.answer
        if answer is None:
            raise PlannerUnavailable("the question was given up before it was answered")
        return Reply(
            text=answer.text,
            confidence=answer.confidence,
            abstained=answer.abstained,
            evidence=tuple(
                entry.model_dump(mode="json", include=_TOLD) for entry in answer.evidence
            ),
            removed=len(answer.removed),
            detail={
                **answer.usage.model_dump(include={"steps", "refused_steps"}),
                "calls": calls,
            },
        )

    async def close(self) -> None:
        """Close the agent."""
        if self._assistant is not None:
            await in_thread(self._assistant.close)
            self._assistant = None
