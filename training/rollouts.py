"""Multi-turn rollouts for GRPO: the served agent itself, with the policy as its planner.

TRL offers three ways to let a policy call tools. `tools` and `environment_factory` want native tool
calls: a chat template that renders function schemas, and a parser of `<tool_call>` blocks. The
bundled planner writes our JSON steps instead, over a system prompt of one line, and its template
knows no tools; trained through either it would learn a format that nobody serves. `rollout_func`
leaves prompts and parsing to us. So each rollout here runs the agent's own graph: intake, step
schema, parser, real tools, ledger, feedback sentences, verifier, the one revision. Only `Planner`
is another: it asks the trainer's model (transformers or vLLM, as TRL is configured) instead of a
server.

What differs from serving: replies are sampled and not held to the step's JSON schema, because
masked sampling would put the trainer's log-probabilities beside another distribution's; a reply
that is no step gets the agent's own objection, and costs form reward. And the policy goes on from
the tokens that it wrote, where the server is sent the step's JSON written anew.
"""

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver

from overread.agent.config import Config
from overread.agent.context import Surroundings
from overread.agent.engine import Engine
from overread.agent.events import AnswerReady, StepPlanned, ToolFinished
from overread.agent.planner import OnText, Planner, Spent, ToolChoice
from overread.agent.profiles import Profile, load_profile
from overread.agent.prompts import Message
from overread.agent.resources import Resources
from overread.agent.state import ImageSource
from overread.imaging.errors import InputError, NoUsableReply
from overread.imaging.phantoms import Phantom, generate
from overread.imaging.study import Series, Study
from overread.training.examples import Example, PhantomRef
from overread.training.oracle import OracleIndex, OracleSegmenter
from overread.training.phantom_cache import session_image
from overread.training.policy_turns import Reply, Request, Turns, TurnWriter, pictures_in
from overread.training.rewards.reference import question_of, text_of
from overread.training.rewards.session import SessionRecord

if TYPE_CHECKING:
    from trl import GRPOTrainer

    from overread.tools.segmenter import Segmenter

TOOL_TASK = "tool_use"
EXAMPLE_KEY = "example"
"""Key of a prompt's first message that names the example: TRL hands prompts alone to rollouts."""
_PATIENCE_S = 3600.0  # a generation of the whole batch blocks every session


@dataclass(frozen=True)
class RolloutSettings:
    """How sessions are set up.

    Attributes:
        tools: "bundled" runs the bundled segmenter, as served; "oracle" the phantoms' exact masks.
        profile: Of the planner; decides the system prompt and the context.
        max_steps: Planner steps before it must answer.
        seed: Of the oracle's deliberate misses.
    """

    tools: Literal["bundled", "oracle"] = "bundled"
    profile: str = "bundled"
    max_steps: int = 6
    seed: int = 0


class SceneResources(Resources):
    """Folders of one example, with its phantoms behind the oracle."""

    def __init__(self, folder: Path, example: Example, settings: RolloutSettings) -> None:
        """Store the example's images."""
        super().__init__(Config(data_dir=folder))
        self._settings = settings
        self._seed = [settings.seed, zlib.crc32(key_of(example).encode())]
        self._known: dict[str, Phantom] = {}
        self.sources = [self._source(ref) for ref in example.images]
        oracle = OracleSegmenter(self._known, np.random.default_rng(self._seed))
        self._segmenter = cast("Segmenter", oracle)

    def _source(self, ref: Any) -> ImageSource:
        if not isinstance(ref, PhantomRef):
            return Path(ref.path)
        phantom = generate(ref.domain, ref.patient, ref.visit)
        image = session_image(phantom, ref.as_png)
        study = Study(
            phantom.study_id, phantom.patient_id, (Series("s0", image.modality, (image,)),)
        )
        self._known[phantom.study_id] = phantom
        return self.archive.add([study])[0]

    def segmenter(self) -> "Segmenter":
        """Return the oracle or the bundled segmenter."""
        return self._segmenter if self._settings.tools == "oracle" else super().segmenter()

    def index(self) -> Any:
        """Return neighbours of the phantoms; every rollout of a group gets the same ones."""
        if not self._known:
            return None
        return OracleIndex(self._known, np.random.default_rng(self._seed))


class Pool:
    """Gathers what waits for the model, and asks it once for all that can go on."""

    def __init__(self, write: Callable[[Sequence[Request]], list[Reply]], running: int) -> None:
        """Expect `running` rollouts."""
        self._write = write
        self._running = running
        self._waiting: list[tuple[int, Request, asyncio.Future[Reply]]] = []

    async def ask(self, rollout: int, request: Request) -> Reply:
        """Return a reply, once every rollout waits or has ended."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((rollout, request, future))
        self._go_on()
        return await future

    def leave(self) -> None:
        """Say that a rollout has ended."""
        self._running -= 1
        self._go_on()

    def _go_on(self) -> None:
        if not self._waiting or len({number for number, _, _ in self._waiting}) < self._running:
            return
        batch = sorted(self._waiting, key=lambda entry: entry[0])
        self._waiting = []
        replies = self._write([request for _, request, _ in batch])
        for (_, _, future), reply in zip(batch, replies, strict=True):
            future.set_result(reply)


class PolicyPlanner(Planner):
    """The agent's planner, answered by the policy that is being trained."""

    def __init__(self, profile: Profile, writer: TurnWriter, turns: Turns, pool: Pool) -> None:
        """Write into `turns`."""
        self.profile = profile
        self._writer, self._turns, self._pool = writer, turns, pool
        self._expected = 0

    async def step(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any],
        tools: Sequence[BaseTool] = (),
        tool_choice: ToolChoice = "auto",
        on_text: OnText | None = None,
    ) -> tuple[str, Spent]:
        """Return the policy's next reply.

        Raises:
            NoUsableReply: The session has outgrown the context.
            InputError: The example's prompt is not what the agent shows.
        """
        turns = self._turns
        if turns.replies:
            if len(messages) != self._expected + 2:
                raise ValueError("a session must grow by a reply and what follows on it")
            self._writer.append_user(turns, text_of(messages[-1]["content"]))
        else:
            _check_same(turns.prompt, messages, turns.example)
        self._expected = len(messages)
        if not self._writer.has_room(turns, self.profile.context):
            raise NoUsableReply(
                f"the session is longer than the context of {self.profile.context} tokens"
            )
        reply = await self._pool.ask(turns.number, turns.request())
        return self._writer.append_reply(turns, reply), Spent()

    async def write(
        self, messages: Sequence[Message], max_tokens: int | None = None
    ) -> tuple[str, Spent]:
        """Return free text that a tool asked for; it is not part of what is trained."""
        reply = await self._pool.ask(self._turns.number, Request(pictures_in(messages)))
        return self._writer.decode(reply), Spent()


@dataclass
class Rollouts:
    """TRL's `rollout_func`: one-turn tasks get one reply, the tool-use task a session.

    Attributes:
        examples: By `key_of`.
        settings: Of sessions.
    """

    examples: Mapping[str, Example]
    settings: RolloutSettings = field(default_factory=RolloutSettings)

    def __call__(self, prompts: list[list[Message]], trainer: "GRPOTrainer") -> dict[str, Any]:
        """Return a completion a prompt; prompts come repeated, once a generation.

        Returns:
            "prompt_ids", "completion_ids", "logprobs", "env_mask" (1 where the policy wrote, 0
            where tools and verifier did) and "session" (`SessionRecord` as JSON, None for one-turn
            tasks), one entry a prompt.

        Raises:
            InputError: An example's images or prompt cannot be used.
        """
        writer = TurnWriter(trainer)
        turns = [
            Turns(number, self.examples[str(prompt[0][EXAMPLE_KEY])], prompt)
            for number, prompt in enumerate(prompts)
        ]
        with TemporaryDirectory(prefix="overread-rollouts-") as scratch:
            scenes = self._scenes(turns, Path(scratch))
            sessions = asyncio.run(self._all(turns, scenes, writer))
        return {
            "prompt_ids": [one.prompt_ids for one in turns],
            "completion_ids": [one.completion_ids for one in turns],
            "logprobs": [one.logprobs for one in turns] if writer.has_logprobs else None,
            "env_mask": [one.mask for one in turns],
            "session": sessions,
        }

    def _scenes(self, turns: Sequence[Turns], scratch: Path) -> dict[str, SceneResources]:
        scenes: dict[str, SceneResources] = {}
        for one in turns:
            key = key_of(one.example)
            if one.example.task == TOOL_TASK and key not in scenes:
                folder = scratch / str(len(scenes))
                scenes[key] = SceneResources(folder, one.example, self.settings)
        return scenes

    async def _all(
        self, turns: Sequence[Turns], scenes: Mapping[str, SceneResources], writer: TurnWriter
    ) -> list[str | None]:
        pool = Pool(writer.generate, len(turns))
        rollouts = (self._one(one, scenes.get(key_of(one.example)), writer, pool) for one in turns)
        return list(await asyncio.gather(*rollouts))

    async def _one(
        self, turns: Turns, scene: SceneResources | None, writer: TurnWriter, pool: Pool
    ) -> str | None:
        try:
            if scene is None:
                writer.append_reply(turns, await pool.ask(turns.number, turns.request()))
                return None
            return (await self._session(turns, scene, writer, pool)).model_dump_json()
        finally:
            pool.leave()

    async def _session(
        self, turns: Turns, scene: SceneResources, writer: TurnWriter, pool: Pool
    ) -> SessionRecord:
        planner = PolicyPlanner(load_profile(self.settings.profile), writer, turns, pool)
        agent = {"max_steps": self.settings.max_steps}
        config = Config(data_dir=scene.data, agent=agent, planner={"timeout_s": _PATIENCE_S})  # type: ignore[arg-type]
        engine = Engine(Surroundings(config, planner, scene), InMemorySaver())
        valid = calls = failed = 0
        record = SessionRecord()
        try:
            question = question_of(turns.example)
            asked = engine.ask(f"rollout-{turns.number}", question, scene.sources)
            async with aclosing(asked) as events:
                async for event in events:
                    if isinstance(event, StepPlanned):
                        valid += 1
                    elif isinstance(event, ToolFinished):
                        calls += 1
                        failed += event.evidence is None
                    elif isinstance(event, AnswerReady):
                        answer = event.answer
                        record = SessionRecord(
                            answer=answer.text,
                            evidence=tuple(e.model_dump(mode="json") for e in answer.evidence),
                            removed=len(answer.removed),
                            abstained=answer.abstained,
                        )
        except NoUsableReply as error:
            record = SessionRecord(failure=str(error))
        counts = {"replies": turns.replies, "valid": valid, "calls": calls, "failed_calls": failed}
        return record.model_copy(update=counts)


def key_of(example: Example) -> str:
    """Return what names an example in a mix of sources."""
    return f"{example.dataset}/{example.id}"


def prompt_of(example: Example) -> list[Message]:
    """Return an example's messages up to its first reply, marked with its key."""
    prompt: list[Message] = []
    for message in example.messages:
        if message["role"] == "assistant":
            break
        prompt.append(dict(message))
    prompt[0] = {**prompt[0], EXAMPLE_KEY: key_of(example)}
    return prompt


def _check_same(prompt: Sequence[Message], served: Sequence[Message], example: Example) -> None:
    """Refuse an example whose prompt would be trained but is not what the agent shows."""
    told = [text_of(message["content"]) for message in prompt]
    shown = [text_of(message["content"]) for message in served]
    if told != shown:
        place = next(
            (i for i, pair in enumerate(zip(told, shown, strict=False)) if pair[0] != pair[1]), 0
        )
        raise InputError(
            f"example '{example.id}' of '{example.dataset}' does not begin as the agent would: "
            f"{told[place][:80]!r} stands where the agent writes {shown[place][:80]!r}"
        )
