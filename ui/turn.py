"""Questions of the reading room as they run: the agent's events become what a reader sees.

A question runs on its own, whatever becomes of the page that asked it: a reader who reloads, looks at
another session or opens a second tab finds it going on, and can stop it from there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from overread.agent.answer import Answer
from overread.agent.assistant import Assistant
from overread.agent.events import (
    AnswerReady,
    Event,
    EvidenceAdded,
    Revising,
    StepPlanned,
    Token,
    ToolFinished,
    ToolStarted,
)
from overread.imaging.errors import InputError, OverreadError
from overread.imaging.study import ImageRef
from overread.ui.rooms import Room, Rooms, Turn
from overread.ui.view import View
from overread.ui.wording import call_text, caveats, link_citations, plain_markdown, time_split

logger = logging.getLogger(__name__)

Answered = Callable[[str, Room], None]
AT_ONCE = 20
"""Questions that run at the same time; later ones wait for them."""

STOPPED = "Stopped. Retry goes on from the last finished step."
INTERRUPTED = "Interrupted. Retry goes on from the last finished step."
BROKEN = "Something went wrong inside Overread; its terminal says what."


@dataclass(slots=True, eq=False)
class _Running:
    """A question on its way.

    Attributes:
        view: Of the room's messages. task: That answers it.
        change: Set, and replaced, whenever the room has changed.
        stopped: Its reader has stopped it.
    """

    view: View
    task: asyncio.Task[None] | None = None
    change: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False

    def tell(self) -> None:
        """Wake whoever watches."""
        self.change.set()
        self.change = asyncio.Event()


class Turns:
    """Answers the questions of any number of rooms."""

    def __init__(self, assistant: Assistant, rooms: Rooms, answered: Answered) -> None:
        """Use one agent, keep what is said in `rooms`, and call `answered` after each answer."""
        self._assistant = assistant
        self._rooms = rooms
        self._answered = answered
        self._running: dict[str, _Running] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    def is_running(self, room: Room) -> bool:
        """Whether a question is being answered in a room."""
        return room.id in self._running

    def ask(self, user: str, room: Room, question: str, refs: Sequence[str]) -> None:
        """Begin to answer a question. What goes wrong later is a message in the room.

        Args:
            user: Whose room.
            room: Where it is asked.
            question: In words.
            refs: Of images that the session does not have yet.

        Raises:
            InputError: Another question is being answered in it.
        """
        self._check_free(room)
        turn = Turn(
            question=question,
            at=None,
            message=len(room.messages),
            evidence=len(room.evidence),
            asked=list(room.asked),
            images=[ref for ref in refs if ref not in room.asked],
        )
        room.name_after(question)
        room.turns.append(turn)

        async def work(running: _Running) -> None:
            turn.at = await asyncio.to_thread(self._assistant.position, room.id)
            # Not before: a question whose place is not known would be asked afresh from the start.
            await asyncio.to_thread(self._rooms.save, user, room)
            await self._follow(running, user, room, turn, None)

        self._start(user, room, turn, work)

    def again(self, user: str, room: Room, number: int, question: str | None = None) -> None:
        """Ask question `number` (0-based) again, in other words if given; later ones are undone.

        One that was stopped goes on at the last finished step.

        Raises:
            InputError: Another question is being answered in the room.
        """
        self._check_free(room)
        last = number == len(room.turns) - 1
        stopped = last and question is None and not room.turns[number].done
        found = list(room.evidence)
        turn = room.rewind(number)
        again = {"question": question or turn.question, "done": False, "error": None}
        turn = turn.model_copy(update=again)
        room.turns.append(turn)
        if stopped:
            room.evidence = found

        async def work(running: _Running) -> None:
            await asyncio.to_thread(self._rooms.save, user, room)
            if not stopped and turn.at is None and number == 0:
                await asyncio.to_thread(self._assistant.forget, room.id)
            await self._follow(running, user, room, turn, None if stopped else turn.at)

        self._start(user, room, turn, work)

    async def watch(self, room: Room) -> AsyncIterator[None]:
        """Yield at once and whenever a room has changed, until its question has ended."""
        while (running := self._running.get(room.id)) is not None:
            change = running.change
            yield
            await change.wait()

    async def stop(self, room: Room) -> None:
        """Stop the question of a room, if one runs; say so in it."""
        running = self._running.get(room.id)
        if running is None or running.task is None:
            return
        running.stopped = True
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)

    def settle(self, room: Room) -> None:
        """Say in a room that its question was interrupted, where a program that ended left it open."""
        if not room.turns or room.turns[-1].done or self.is_running(room):
            return
        view = View(room.messages)
        view.settle()
        last = room.messages[-1]
        if last["role"] == "user" or "metadata" in last:
            view.say(INTERRUPTED)

    def _check_free(self, room: Room) -> None:
        if self.is_running(room):
            raise InputError("this session is answering a question; wait for it, or stop it")

    def _start(
        self,
        user: str,
        room: Room,
        turn: Turn,
        work: Callable[[_Running], Coroutine[None, None, None]],
    ) -> None:
        running = self._running[room.id] = _Running(View(room.messages))
        running.view.say(plain_markdown(turn.question) or "…", role="user")
        running.view.wait()
        running.task = asyncio.create_task(self._run(running, user, room, turn, work))

    async def _run(
        self,
        running: _Running,
        user: str,
        room: Room,
        turn: Turn,
        work: Callable[[_Running], Coroutine[None, None, None]],
    ) -> None:
        view = running.view
        try:
            async with self._places:
                await work(running)
                if turn.done:
                    await asyncio.to_thread(self._answered, user, room)
        except asyncio.CancelledError:
            if not running.stopped:
                raise  # the program ends; `settle` says so when it is started again
            view.end(STOPPED)
        except OverreadError as error:
            turn.error = str(error)
            view.end(f"⚠️ {plain_markdown(turn.error)}")
        except Exception:  # the border of a task nobody waits for: a bug must not look like work
            logger.exception("a question failed")
            turn.error = BROKEN
            view.end(BROKEN)
        finally:
            del self._running[room.id]
            running.tell()
        await asyncio.to_thread(self._rooms.save, user, room)

    async def _follow(
        self, running: _Running, user: str, room: Room, turn: Turn, at: str | None
    ) -> None:
        refs = [ImageRef.parse(ref) for ref in turn.images]
        events = self._assistant.astream(turn.question, refs, room.id, may_ask=True, at=at)
        async with aclosing(events):
            async for event in events:
                await asyncio.to_thread(_apply, room, turn, running.view, event)
                if not isinstance(event, Token):
                    await asyncio.to_thread(self._rooms.save, user, room)
                running.tell()


def _apply(room: Room, turn: Turn, view: View, event: Event) -> None:
    view.go_on()
    match event:
        case EvidenceAdded():
            room.remember(event.evidence)
            view.wait()
        case StepPlanned():
            view.why = event.why
        case ToolStarted():
            title = f"{event.tool} · {call_text(event.arguments)}"
            view.start(event.call, plain_markdown(title), plain_markdown(view.why))
        case ToolFinished():
            said = event.error or (event.evidence and event.evidence.content) or ""
            view.finish(
                event.call, plain_markdown(said), event.seconds, failed=event.error is not None
            )
            if event.evidence:
                room.remember(event.evidence)
            view.wait()
        case Token():
            view.stream(plain_markdown(event.text))
        case Revising():
            view.drop_stream()
            view.wait()
        case AnswerReady():
            _show_answer(room, turn, view, event.answer)


def _show_answer(room: Room, turn: Turn, view: View, answer: Answer) -> None:
    for item in answer.evidence:
        room.remember(item)
    room.asked = list(dict.fromkeys([*room.asked, *turn.images]))
    turn.done, turn.answer = True, answer.text
    lines = [link_citations(plain_markdown(answer.text))]
    lines += [f"> {plain_markdown(line)}" for line in caveats(answer)]
    lines.append(f"<small>{time_split(answer.usage)}. {answer.disclaimer}</small>")
    view.end("\n\n".join(lines))
