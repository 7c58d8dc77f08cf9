"""The Overread agent through its Python API, whole or with a part switched off."""

from collections.abc import Mapping, Sequence
from typing import Any

from overread.agent import Assistant
from overread.agent.answer import Answer
from overread.agent.config import Config
from overread.agent.ledger import cited
from overread.agent.profiles import load_profile
from overread.agent.threads import in_thread
from overread.evals.items import Item
from overread.evals.subjects.base import Reply
from overread.evals.subjects.cited import RETRIEVAL, as_named, boxes, cases
from overread.imaging.errors import InputError
from overread.tools.base import Evidence
from overread.tools.registry import tool_names

ABLATIONS = ("tools", "retrieval", "verify")


class AgentSubject:
    """Asks the agent, each item in a session of its own.

    The index never gives back the queried study, nor any other of its patient. The confidence is
    that of the weakest evidence that the answer cites.
    """

    def __init__(self, config: Config, identity: Mapping[str, Any], without: str = "") -> None:
        """Prepare; folders and models are opened by the first question.

        Args:
            config: Of the agent.
            identity: What decides its answers beside the configuration.
            without: One of `ABLATIONS`, or "".

        Raises:
            InputError: There is no such ablation.
        """
        self.name = f"agent without {without}" if without else "agent"
        self._config = ablated(config, without)
        self.identity: Mapping[str, Any] = {
            "kind": "agent",
            "agent": self._config.agent.model_dump(mode="json"),
            "exclude_same_patient": self._config.index.exclude_same_patient,
            "segmenter": self._config.segmenter.model_dump(),
            **identity,
        }
        self._assistant: Assistant | None = None

    async def answer(self, item: Item, prompt: str, seed: int) -> Reply:
        """As `Subject.answer`; the agent decodes at temperature 0, the seed changes nothing."""
        if self._assistant is None:
            self._assistant = Assistant(self._config, load_profile(self._config.planner.profile))
        answer = await self._assistant.aask(prompt, list(item.images), keep=False)
        return await in_thread(lambda: self._reply(item, answer))

    async def close(self) -> None:
        """Close the agent."""
        if self._assistant is not None:
            await in_thread(self._assistant.close)
            self._assistant = None

    def _reply(self, item: Item, answer: Answer) -> Reply:
        assert self._assistant is not None
        resources = self._assistant.resources
        masks = [entry for entry in answer.artifacts if entry.kind == "mask"]
        drawn, ranking = None, None
        if item.kind == "boxes":
            drawn = boxes(answer.text, answer.evidence, resources.artifacts)
        elif item.kind == "retrieval":
            ranking = as_named(cases(answer.text, answer.evidence), item, resources)
        return Reply(
            text=answer.text,
            confidence=answer.confidence,
            abstained=answer.abstained,
            evidence=told(answer.text, answer.evidence),
            removed=len(answer.removed),
            files={"mask": resources.artifacts.path(masks[-1])} if masks else {},
            boxes=drawn,
            ranking=ranking,
            detail=answer.usage.model_dump(include={"steps", "refused_steps", "tool_calls"}),
        )


def told(text: str, evidence: Sequence[Evidence]) -> tuple[dict[str, Any], ...]:
    """Return evidence as records hold it: what the text cites, and what the files say (intake)."""
    used = {entry.id for entry in cited(text, evidence)}
    return tuple(
        entry.model_dump(mode="json", include={"id", "tool", "content", "arguments", "values"})
        for entry in evidence
        if entry.id in used or entry.tool == "intake"
    )


def ablated(config: Config, without: str) -> Config:
    """Return the configuration with a part switched off, and retrieval fit for an evaluation.

    Raises:
        InputError: There is no such part.
    """
    agent: dict[str, Any] = {}
    names = config.agent.tools
    if names is None:
        names = list(load_profile(config.planner.profile).tools or tool_names())
    if without == "tools":
        agent["tools"] = []
    elif without == "retrieval":
        agent["tools"] = [name for name in names if name != RETRIEVAL]
    elif without == "verify":
        agent["verify"] = False
    elif without:
        raise InputError(f"'{without}' cannot be ablated; choose from {', '.join(ABLATIONS)}")
    return config.model_copy(
        update={
            "agent": config.agent.model_copy(update=agent),
            "index": config.index.model_copy(update={"exclude_same_patient": True}),
        }
    )
