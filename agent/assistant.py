"""The public API: ask questions about images, synchronously or not, streaming or not."""

import asyncio
import queue
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Sequence,
)
from concurrent.futures import Future
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, Self, TypeVar

from overread.agent.answer import Answer, Usage
from overread.agent.config import Config, load_config
from overread.agent.context import BuildTools, Surroundings
from overread.agent.engine import Engine
from overread.agent.events import AnswerReady, Event
from overread.agent.intake import check_question, register
from overread.agent.planner import Planner
from overread.agent.profiles import Profile, load_profile
from overread.agent.prompts import direct_messages
from overread.agent.reports import Reports
from overread.agent.resources import Resources
from overread.agent.sessions import check_session_id, new_session_id, open_sessions
from overread.agent.signing import ReportDesk
from overread.agent.state import Clock, ImageSource
from overread.agent.threads import in_thread
from overread.imaging.errors import PlannerUnavailable
from overread.tools.base import Evidence
from overread.tools.fence import clean
from overread.tools.registry import build_tools

if TYPE_CHECKING:
    from overread.agent.reader import Outlined

T = TypeVar("T")


class Assistant:
    """A second reader. One instance answers many questions, at the same time if asked so.

    The work runs on an event loop of its own, in a thread of its own: the sync and the async
    methods are equally usable from anywhere. Close it, or use it in a `with` block.

    >>> assistant = Assistant.from_config()  # doctest: +SKIP
    >>> answer = assistant.ask("Is there an effusion?", images=["chest.dcm"])  # doctest: +SKIP
    """

    def __init__(self, config: Config, profile: Profile, build: BuildTools = build_tools) -> None:
        """Open the data folder; the planner's server is first called by a question.

        Args:
            config: The configuration.
            profile: The planner's.
            build: Makes the tools; by default those that are installed.

        Raises:
            ConfigError: The data folder cannot be used.
        """
        self.config = _within(config, profile)
        self.profile = profile
        self.resources = Resources(self.config)
        self._build = build
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, daemon=True, name="overread-assistant"
        )
        self._thread.start()
        self._stack = AsyncExitStack()
        try:
            self._engine, self._around, desk = self._wait(self._open())
        except BaseException:
            self._stop()
            raise
        self.reports = Reports(desk, self.resources, self._wait)

    @classmethod
    def from_config(cls, config: Config | None = None) -> Self:
        """Return an assistant for a configuration, by default for the one that is loaded.

        Raises:
            ConfigError: The configuration, the profile or the data folder cannot be used.
        """
        config = config or load_config()
        return cls(config, load_profile(config.planner.profile))

    def ask(
        self,
        question: str,
        images: Sequence[ImageSource] = (),
        session: str | None = None,
        *,
        may_ask: bool = False,
        sign_off: bool = False,
        keep: bool = True,
    ) -> Answer:
        """Answer a question.

        Args:
            question: In words.
            images: Paths, or references of stored images; they join those of the session.
            session: Continue this one; a new one if None. The same question asked again in a
                session that was stopped goes on at the last finished step.
            may_ask: The planner may ask back; the answer then has `waiting == "clarify"`.
            sign_off: A person must approve; the answer then has `waiting == "sign_off"`.
            keep: Remember the session. False deletes question, answer and evidence at the end,
                whatever the end is; de-identified images and artifacts stay.

        Raises:
            InputError: The question or an image cannot be used.
            PlannerUnavailable: The planner did not reply.
        """
        return _last(
            self.stream(question, images, session, may_ask=may_ask, sign_off=sign_off, keep=keep)
        )

    async def aask(
        self,
        question: str,
        images: Sequence[ImageSource] = (),
        session: str | None = None,
        *,
        may_ask: bool = False,
        sign_off: bool = False,
        keep: bool = True,
    ) -> Answer:
        """As `ask`, for callers with an event loop."""
        return await last_answer(
            self.astream(question, images, session, may_ask=may_ask, sign_off=sign_off, keep=keep)
        )

    def stream(
        self,
        question: str,
        images: Sequence[ImageSource] = (),
        session: str | None = None,
        *,
        may_ask: bool = False,
        sign_off: bool = False,
        keep: bool = True,
    ) -> Iterator[Event]:
        """As `ask`, event by event; the last is `AnswerReady`. Stopping early stops the work."""
        name = check_session_id(session or new_session_id())
        return self._events(
            self._engine.ask(name, question, images, may_ask=may_ask, sign_off=sign_off, keep=keep)
        )

    def astream(
        self,
        question: str,
        images: Sequence[ImageSource] = (),
        session: str | None = None,
        *,
        may_ask: bool = False,
        sign_off: bool = False,
        keep: bool = True,
        at: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        """As `stream`, for callers with an event loop; `at` goes back to a `position` first."""
        name = check_session_id(session or new_session_id())
        return self._aevents(
            self._engine.ask(
                name, question, images, may_ask=may_ask, sign_off=sign_off, keep=keep, at=at
            )
        )

    def resume(self, session: str, reply: Any = None) -> Answer:
        """Go on with a session that was stopped or that waits for a person.

        Args:
            session: Its id.
            reply: Text to a clarifying question; True, False or {"approved": True, "text": ...}
                to a sign-off; None for a session that was stopped.

        Raises:
            UnknownReference: There is no such session.
            InputError: It is finished, or it waits for a reply and got none.
        """
        return _last(self.stream_resume(session, reply))

    def stream_resume(self, session: str, reply: Any = None) -> Iterator[Event]:
        """As `resume`, event by event."""
        return self._events(self._engine.resume(check_session_id(session), reply))

    def astream_resume(self, session: str, reply: Any = None) -> AsyncGenerator[Event, None]:
        """As `stream_resume`, for callers with an event loop."""
        return self._aevents(self._engine.resume(check_session_id(session), reply))

    def direct(self, question: str, images: Sequence[ImageSource] = ()) -> Answer:
        """Ask the bare VLM: no tools, no evidence, no verification. For comparison only.

        Raises:
            InputError, PlannerUnavailable: As `ask`.
        """
        return self._wait(self._direct(question, images))

    async def adirect(self, question: str, images: Sequence[ImageSource] = ()) -> Answer:
        """As `direct`, for callers with an event loop."""
        return await asyncio.wrap_future(self._submit(self._direct(question, images)))

    def position(self, session: str) -> str | None:
        """Return where a session stands, to go back to with `astream(at=...)`; None if new."""
        return self._wait(self._engine.position(check_session_id(session)))

    def outline(self, session: str, outlined: "Outlined") -> Evidence:
        """Add what a reader outlined to a session's evidence, and return it.

        Raises:
            InputError: The outline cannot be used, or a question is being answered in it.
            UnknownReference: The image is not in the archive.
        """
        return self._wait(self._engine.outline(check_session_id(session), outlined))

    def evidence(self, session: str) -> list[Evidence]:
        """Return the evidence of a session, oldest first.

        Raises:
            UnknownReference: There is no such session.
        """
        return self._wait(self._engine.recall(check_session_id(session)))[0]

    def others(self, but: Collection[str]) -> tuple[set[str], set[str]]:
        """Return the artifacts (paths) and studies (ids) that sessions outside `but` refer to."""
        return self._wait(self._engine.others(but))

    def forget(self, session: str) -> None:
        """Delete question, answers and evidence of a session; unknown ones are forgotten already.

        Raises:
            InputError: A question is being answered in it.
        """
        self._wait(self._engine.forget(check_session_id(session)))

    def close(self) -> None:
        """Close connections and files; running questions are given up."""
        if self._thread.is_alive():
            self._wait(self._close())
            self._stop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    async def _open(self) -> tuple[Engine, Surroundings, ReportDesk]:
        planner = Planner(self.config.planner, self.profile)
        self._stack.push_async_callback(planner.close)
        saver = await self._stack.enter_async_context(open_sessions(self.resources.data))
        around = Surroundings(self.config, planner, self.resources, self._build)
        engine = Engine(around, saver)
        archive, data = self.resources.archive, self.resources.data
        return engine, around, ReportDesk(archive, data, saver, engine.recall)

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stack.aclose()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _direct(self, question: str, images: Sequence[ImageSource]) -> Answer:
        clock = Clock()
        limits = self.config.agent
        text = check_question(clean(question), limits.max_question_chars)
        with clock.measure("intake"):
            refs = await in_thread(lambda: register(self.resources, images, limits.max_images))
            urls = await self._around.pictures([str(ref) for ref in refs])
        with clock.measure("model"):
            reply, spent = await self._around.planner.write(direct_messages(urls, text))
        usage = Usage(
            steps=1,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            seconds=clock.elapsed(),
            model_seconds=clock.model,
            intake_seconds=clock.intake,
        )
        return Answer(text=reply.strip(), usage=usage)

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._submit(work).result()

    def _events(self, source: AsyncGenerator[Event, None]) -> Iterator[Event]:
        received: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        running = self._submit(_pump(source, received.put))
        try:
            while (event := received.get()) is not None:
                yield event
            running.result()
        finally:
            running.cancel()

    async def _aevents(self, source: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        received: asyncio.Queue[Event | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        running = self._submit(
            _pump(source, lambda event: loop.call_soon_threadsafe(received.put_nowait, event))
        )
        try:
            while (event := await received.get()) is not None:
                yield event
            await asyncio.wrap_future(running)
        finally:
            running.cancel()


async def _pump(source: AsyncGenerator[Event, None], put: Callable[[Event | None], object]) -> None:
    """Hand on every event, and None at the end, whatever the end is."""
    try:
        async with aclosing(source):
            async for event in source:
                put(event)
    finally:
        put(None)


def _last(stream: Iterator[Event]) -> Answer:
    answer = None
    for event in stream:
        if isinstance(event, AnswerReady):
            answer = event.answer
    if answer is None:
        raise PlannerUnavailable("the question was given up before it was answered; ask again")
    return answer


async def last_answer(stream: AsyncIterator[Event]) -> Answer:
    """Return the answer at the end of a stream of events.

    Raises:
        PlannerUnavailable: There is none; and whatever the stream raises.
    """
    answer = None
    async for event in stream:
        if isinstance(event, AnswerReady):
            answer = event.answer
    if answer is None:
        raise PlannerUnavailable("the question was given up before it was answered; ask again")
    return answer


def _within(config: Config, profile: Profile) -> Config:
    """Lower the images of a session to those that the planner takes in one request."""
    most = min(config.agent.max_images, profile.max_images)
    return config.model_copy(update={"agent": config.agent.model_copy(update={"max_images": most})})
