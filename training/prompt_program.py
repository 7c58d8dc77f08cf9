"""The agent as a DSPy program: what it says to its planner is what an optimiser may change.

Two predictors stand for two prompts: `plan`, the system prompt and worked examples under which the
planner takes its steps, and `write`, the system prompt under which a tool lets it describe an
image. Every call runs the agent itself, with its graph, tools and verifier, and asks its planner in
exactly the words and with exactly the pictures that it would be asked in when served. DSPy is told
a step's text without the pictures: a worked example has none.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

import dspy
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver

from overread.agent.config import Config
from overread.agent.context import BuildTools, Surroundings
from overread.agent.engine import Engine
from overread.agent.events import AnswerReady
from overread.agent.planner import OnText, Planner, Spent, ToolChoice
from overread.agent.profiles import Profile
from overread.agent.prompt_file import Demo, PromptFile
from overread.agent.prompts import Message
from overread.agent.resources import Resources
from overread.agent.sessions import new_session_id
from overread.evals.items import Item
from overread.evals.kept import Kept, key_of
from overread.imaging.errors import NoUsableReply, PlannerUnavailable
from overread.tools.registry import build_tools

Ask = Callable[[], Awaitable[str]]
_TOOLS = "{tools}"


class Stage:
    """What all copies of a program share: the planner's place, the tools, the items, the replies.

    Replies are kept as JSON, so that a search that was stopped is taken up by running it again: the
    same seed asks the same, and what was answered is not asked anew.
    """

    def __init__(
        self,
        config: Config,
        profile: Profile,
        items: Mapping[str, Item],
        replies: Kept,
        build: BuildTools = build_tools,
    ) -> None:
        """Hold the parts; `build` makes the tools for a context."""
        self.config = config
        self.profile = profile
        self.items = items
        self.replies = replies
        self.build = build
        self.resources = Resources(config)
        self.known: dict[str, PromptFile] = {}
        self.failure: PlannerUnavailable | None = None
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Stage":
        """Return itself: optimisers copy programs."""
        return self

    def fail(self, error: PlannerUnavailable) -> None:
        """Remember the first failure of the server; DSPy counts errors and goes on."""
        with self._lock:
            self.failure = self.failure or error


class PlannerProgram(dspy.Module):  # type: ignore[misc]
    """Answers a question of an item."""

    def __init__(self, stage: Stage) -> None:
        """Begin with the profile's own prompts."""
        super().__init__()
        self.stage = stage
        profile = stage.profile
        plan = dspy.Signature("session -> step").with_instructions(profile.system.strip())
        write = dspy.Signature("instruction -> text").with_instructions(profile.writing.strip())
        self.plan = dspy.Predict(plan)
        self.write = dspy.Predict(write)
        self.plan.demos = [
            dspy.Example(session=demo.user, step=demo.reply) for demo in profile.demos
        ]

    def prompts(self) -> PromptFile:
        """Return the prompts as they stand now."""
        profile = self.stage.profile
        system = self.plan.signature.instructions.strip() or profile.system.strip()
        if _TOOLS in profile.system and _TOOLS not in system:  # an optimiser dropped the list
            system = f"{system}\n\nTools:\n{_TOOLS}"
        demos = [
            Demo(user=demo["session"], reply=demo["step"])
            for demo in self.plan.demos
            if demo.get("session") and demo.get("step")
        ]
        writing = self.write.signature.instructions.strip() or profile.writing
        return PromptFile(system=system, writing=writing, demos=tuple(demos))

    def forward(self, question: str, key: str) -> Any:
        """Return a prediction with `answer` and the `state` of the prompts.

        Args:
            question: As asked.
            key: Id of its item.

        Raises:
            PlannerUnavailable: The server is gone.
        """
        if self.stage.failure is not None:
            raise self.stage.failure
        prompts = self.prompts()
        state = state_of(prompts)
        self.stage.known[state] = prompts
        try:
            answer = asyncio.run(self._answer(question, self.stage.items[key], prompts))
        except NoUsableReply:
            answer = ""  # as in an evaluation: no answer, and wrong
        except PlannerUnavailable as error:
            self.stage.fail(error)
            raise
        return dspy.Prediction(answer=answer, state=state)

    async def _answer(self, question: str, item: Item, prompts: PromptFile) -> str:
        stage = self.stage
        taken = {"system": prompts.system, "writing": prompts.writing, "demos": prompts.demos}
        profile = stage.profile.model_copy(update=taken)
        planner = TracedPlanner(self, profile)
        around = Surroundings(stage.config, planner, stage.resources, stage.build)
        engine = Engine(around, InMemorySaver())
        answer = ""
        try:
            asked = engine.ask(new_session_id(), question, list(item.images), keep=False)
            async with aclosing(asked) as events:
                async for event in events:
                    if isinstance(event, AnswerReady):
                        answer = event.answer.text
        finally:
            await planner.close()
        return answer


class TracedPlanner(Planner):
    """The agent's planner, with its steps told to DSPy and its replies kept."""

    def __init__(self, program: PlannerProgram, profile: Profile) -> None:
        """Ask for a program, at the temperature that an optimiser has set for it."""
        settings = (program.plan.lm or dspy.settings.lm).kwargs
        temperature = float(settings.get("temperature") or 0.0)
        super().__init__(program.stage.config.planner, profile, temperature)
        self._program = program
        # at temperature 0 another rollout is the same reply
        rollout = settings.get("rollout_id") if temperature else None
        self._about = [profile.request_model, temperature, rollout]

    async def step(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any],
        tools: Sequence[BaseTool] = (),
        tool_choice: ToolChoice = "auto",
        on_text: OnText | None = None,
    ) -> tuple[str, Spent]:
        """As `Planner.step`."""
        plain = super().step

        async def ask() -> str:
            return (await plain(messages, schema, tools, tool_choice))[0]

        shown = messages[1 + 2 * len(self.profile.demos) :]
        key = key_of("step", self._about, list(messages), schema, tool_choice)
        told = {"session": "\n".join(text_of(message) for message in shown)}
        return (await self._traced(self._program.plan, told, key, ask)), Spent()

    async def write(
        self, messages: Sequence[Message], max_tokens: int | None = None
    ) -> tuple[str, Spent]:
        """As `Planner.write`."""
        plain = super().write

        async def ask() -> str:
            return (await plain(messages, max_tokens))[0]

        key = key_of("write", self._about, list(messages), max_tokens)
        told = {"instruction": text_of(messages[-1])}
        return (await self._traced(self._program.write, told, key, ask)), Spent()

    async def _traced(self, predictor: Any, told: dict[str, str], key: str, ask: Ask) -> str:
        replies = self._program.stage.replies

        async def kept() -> str:
            found = replies.get(key)
            if found is None:
                found = {"reply": await ask()}
                replies.put(key, found)
            return str(found["reply"])

        with dspy.context(adapter=Passing(kept)):
            prediction = await predictor.acall(**told)
        (output,) = predictor.signature.output_fields
        return cast(str, prediction[output])


class Passing(dspy.Adapter):  # type: ignore[misc]
    """Renders nothing: the agent has rendered the request already, and parses the reply itself."""

    def __init__(self, ask: Ask) -> None:
        """Get the reply from `ask`."""
        super().__init__()
        self._ask = ask

    async def acall(
        self,
        lm: Any,
        lm_kwargs: dict[str, Any],
        signature: Any,
        demos: list[Any],
        inputs: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Return the reply as the value of the one output field."""
        (output,) = signature.output_fields
        return [{output: await self._ask()}]


def state_of(prompts: PromptFile) -> str:
    """Return a hash of what the planner is told."""
    return key_of(prompts.system, prompts.writing, [demo.model_dump() for demo in prompts.demos])


def text_of(message: Message) -> str:
    """Return a message's text; pictures are left out."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")
