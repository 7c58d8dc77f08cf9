"""Run questions through the graph and tell what happens, event by event."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command, StateSnapshot

from overread.agent.answer import Answer, Removed, Usage
from overread.agent.context import Surroundings
from overread.agent.events import AnswerReady, Event, SessionStarted
from overread.agent.graph import build_graph
from overread.agent.intake import register
from overread.agent.ledger import cited
from overread.agent.sessions import forget, only_user, threads
from overread.agent.state import Clock, ImageSource, Run, State
from overread.agent.threads import in_thread
from overread.imaging.errors import InputError, UnknownReference
from overread.imaging.study import ImageRef
from overread.tools.base import Evidence
from overread.tools.fence import clean

if TYPE_CHECKING:
    from overread.agent.reader import Outlined

# Nodes per planner step, and those around them; LangGraph's own limit only guards against bugs.
_NODES_PER_STEP, _NODES_AROUND = 3, 20


class Engine:
    """One compiled graph with its checkpoints; many sessions at once."""

    def __init__(self, around: Surroundings, checkpointer: BaseCheckpointSaver[str]) -> None:
        """Compile the graph."""
        self._around = around
        self._saver = checkpointer
        self._graph = build_graph(around, checkpointer)

    async def ask(
        self,
        session: str,
        question: str,
        images: Sequence[ImageSource] = (),
        *,
        may_ask: bool = False,
        sign_off: bool = False,
        keep: bool = True,
        at: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Answer a question, or go on with it if it is the one that was left unfinished.

        A reply to a question of the planner's is given here too: the session waits for it. Without
        `keep` the session is forgotten at the end, whatever the end is. With `at` (a position)
        the session goes back to there first: what came later is no longer part of it.

        Raises:
            OverreadError: One clear sentence; what was finished is kept.
        """
        async with self._holding(session, keep):
            before = await self._graph.aget_state(self._config(session, at))
            if at is None and _waiting(before) == "clarify":
                command: Command[Any] | State | None = Command(resume=question)
                run, resumed = Run(), True
            elif at is None and await self._is_unfinished(before, question, images):
                command, run, resumed = None, Run(images), True
            else:
                run, resumed = Run(images), False
                command = {
                    "question": question,
                    "expected_images": len(images),
                    "may_ask": may_ask,
                    "sign_off": sign_off,
                }
            async with aclosing(self._run(session, command, run, before, resumed, at)) as events:
                async for event in events:
                    yield event

    async def position(self, session: str) -> str | None:
        """Return where a session stands, to go back to with `ask(at=...)`; None before anything."""
        state = await self._graph.aget_state(self._config(session))
        return str(state.config["configurable"]["checkpoint_id"]) if state.values else None

    async def outline(self, session: str, outlined: "Outlined") -> Evidence:
        """Add what a reader outlined to the evidence of a session, which is new if unknown.

        A question that was stopped on its way is given up by it.

        Raises:
            InputError: The outline cannot be used, or the session waits for a reply.
            UnknownReference: The image is not in the archive.
        """
        with only_user(self._around.resources.data, session):
            config = self._config(session)
            before = await self._graph.aget_state(config)
            if waiting := _waiting(before):
                raise InputError(f"session {session} waits for a reply ({waiting}); give it first")
            values, limit = cast(State, before.values), self._around.config.agent.max_images

            def add() -> tuple[State, Evidence]:
                from overread.agent.reader import additions  # a second of imports

                return additions(self._around.resources, values, outlined, limit)

            change, entry = await in_thread(add)
            await self._graph.aupdate_state(config, change, as_node="answer")
            return entry

    async def others(self, but: Collection[str]) -> tuple[set[str], set[str]]:
        """Return the artifacts (paths) and studies (ids) that sessions outside `but` refer to."""
        artifacts: set[str] = set()
        studies: set[str] = set()
        for thread in await threads(self._saver):
            if thread in but:
                continue
            values = (await self._graph.aget_state(self._config(thread))).values
            studies |= {ref.split("/")[0] for ref in values.get("images", ())}
            for item in values.get("evidence", ()):
                artifacts |= {artifact["path"] for artifact in item["artifacts"]}
        return artifacts, studies

    async def resume(self, session: str, reply: Any = None) -> AsyncGenerator[Event, None]:
        """Go on with a session that was stopped, or that waits for a person.

        Args:
            session: Its id.
            reply: To a clarifying question: text. To a sign-off: True, False, or
                {"approved": True, "text": corrected}. None for a session that was stopped.

        Raises:
            UnknownReference: There is no such session.
            InputError: Nothing is left to do in it, or it waits for a reply.
        """
        with only_user(self._around.resources.data, session):
            before = await self._graph.aget_state(self._config(session))
            if not before.values:
                raise UnknownReference(f"there is no session '{session}'")
            if not before.next:
                raise InputError(f"session {session} has nothing left to do; ask a new question")
            waiting = _waiting(before)
            if waiting and reply is None:
                raise InputError(f"session {session} waits for a reply ({waiting}); give one")
            command: Command[Any] | None = Command(resume=reply) if waiting else None
            async with aclosing(self._run(session, command, Run(), before, resumed=True)) as events:
                async for event in events:
                    yield event

    async def recall(self, session: str) -> tuple[list[Evidence], list[ImageRef]]:
        """Return the evidence and the images of a session.

        Raises:
            UnknownReference: There is no such session.
        """
        values = (await self._graph.aget_state(self._config(session))).values
        if not values.get("images"):
            raise UnknownReference(f"there is no session '{session}' with images")
        evidence = [Evidence.model_validate(item) for item in values["evidence"]]
        return evidence, [ImageRef.parse(text) for text in values["images"]]

    async def forget(self, session: str) -> None:
        """Delete what is remembered of a session.

        Raises:
            InputError: A question is being answered in it.
        """
        async with self._holding(session, keep=False):
            pass

    @asynccontextmanager
    async def _holding(self, session: str, keep: bool = True) -> AsyncIterator[None]:
        data = self._around.resources.data
        with only_user(data, session):
            try:
                yield
            finally:
                if not keep:
                    await forget(self._saver, data, session)

    async def _run(
        self,
        session: str,
        command: Command[Any] | State | None,
        run: Run,
        before: StateSnapshot,
        resumed: bool,
        at: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        config = self._config(session)
        yield SessionStarted(session, tuple(before.values.get("images", ())), resumed)
        stream: AsyncIterator[Any] = self._graph.astream(
            command, self._config(session, at), context=run, stream_mode="custom", durability="sync"
        )
        async with aclosing(cast(AsyncGenerator[Any, None], stream)) as events:
            async for event in events:
                yield event
        after = await self._graph.aget_state(config)
        yield AnswerReady(_answer(session, after, run.clock))

    async def _is_unfinished(
        self, before: StateSnapshot, question: str, images: Sequence[ImageSource]
    ) -> bool:
        """Whether this very question, with these images, was stopped on its way."""
        values = before.values
        if not before.next or _waiting(before) or values.get("question") != clean(question).strip():
            return False
        if before.next == ("intake",) or not images:
            return len(images) == values.get("expected_images")
        resources, limit = self._around.resources, self._around.config.agent.max_images
        refs = await in_thread(lambda: register(resources, images, limit))
        return {str(ref) for ref in refs} <= set(values["images"])

    def _config(self, session: str, at: str | None = None) -> RunnableConfig:
        steps = self._around.config.agent.max_steps
        where = {"thread_id": session} | ({} if at is None else {"checkpoint_id": at})
        return {
            "configurable": where,
            "recursion_limit": _NODES_PER_STEP * steps + _NODES_AROUND,
        }


def _waiting(snapshot: StateSnapshot) -> str | None:
    """Return what a session waits for: "clarify", "sign_off" or nothing."""
    for interrupt in snapshot.interrupts:
        return str(interrupt.value["kind"])
    return None


def _answer(session: str, snapshot: StateSnapshot, clock: Clock) -> Answer:
    values = snapshot.values
    evidence = tuple(Evidence.model_validate(item) for item in values["evidence"])
    usage = Usage(
        steps=clock.steps,
        refused_steps=clock.refused,
        tool_calls=clock.calls,
        prompt_tokens=clock.prompt_tokens,
        completion_tokens=clock.completion_tokens,
        seconds=clock.elapsed(),
        model_seconds=clock.model,
        tool_seconds=clock.tools,
        intake_seconds=clock.intake,
    )
    for interrupt in snapshot.interrupts:
        kind, text = interrupt.value["kind"], interrupt.value["text"]
        return Answer(
            text=text, evidence=evidence, waiting=kind, usage=usage, session=session,
            artifacts=_artifacts(text, evidence),
        )  # fmt: skip
    result = values["result"]
    return Answer(
        text=result["text"],
        evidence=evidence,
        artifacts=_artifacts(result["text"], evidence),
        abstained=result["abstained"],
        removed=tuple(Removed(**item) for item in result["removed"]),
        usage=usage,
        session=session,
    )


def _artifacts(text: str, evidence: Sequence[Evidence]) -> tuple[Any, ...]:
    found = [artifact for entry in cited(text, evidence) for artifact in entry.artifacts]
    return tuple(dict.fromkeys(found))
