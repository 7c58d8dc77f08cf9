"""One question in the reading room: runs the agent and turns its events into what a reader sees."""

import asyncio
from collections.abc import AsyncIterator, Sequence

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
from overread.imaging.errors import OverreadError
from overread.imaging.study import ImageRef
from overread.ui.rooms import Room, Rooms, Turn
from overread.ui.view import View
from overread.ui.wording import call_text, caveats, link_citations, plain_markdown, time_split


class Turns:
    """Answers the questions of any number of rooms."""

    def __init__(self, assistant: Assistant, rooms: Rooms) -> None:
        """Use one agent, and keep what is said in `rooms`."""
        self._assistant = assistant
        self._rooms = rooms
        self._running: dict[str, View] = {}

    async def ask(
        self, user: str, room: Room, question: str, refs: Sequence[str]
    ) -> AsyncIterator[None]:
        """Answer a question; yields whenever the room changed. An error is a message in it.

        Args:
            user: Whose room.
            room: Where it is asked.
            question: In words.
            refs: Of images that the session does not have yet.
        """
        before = await asyncio.to_thread(self._assistant.position, room.id)
        turn = Turn(
            question=question,
            at=before,
            message=len(room.messages),
            evidence=len(room.evidence),
            asked=list(room.asked),
            images=[ref for ref in refs if ref not in room.asked],
        )
        room.name_after(question)
        room.turns.append(turn)
        async for _ in self._run(user, room, turn, None):
            yield

    async def again(
        self, user: str, room: Room, number: int, question: str | None = None
    ) -> AsyncIterator[None]:
        """Ask question `number` (0-based) again, in other words if given; later ones are undone.

        One that was stopped goes on at the last finished step.
        """
        last = number == len(room.turns) - 1
        stopped = last and question is None and not room.turns[number].done
        found = list(room.evidence)
        turn = room.rewind(number)
        turn = turn.model_copy(update={"question": question or turn.question, "done": False})
        room.turns.append(turn)
        if stopped:
            room.evidence = found
        elif turn.at is None:
            await asyncio.to_thread(self._assistant.forget, room.id)
        async for _ in self._run(user, room, turn, None if stopped else turn.at):
            yield

    def stop(self, room: Room) -> None:
        """Say in a room that its question was stopped."""
        self._running.pop(room.id, View(room.messages)).stop()

    async def _run(self, user: str, room: Room, turn: Turn, at: str | None) -> AsyncIterator[None]:
        view = self._running[room.id] = View(room.messages)
        view.say(plain_markdown(turn.question) or "…", role="user")
        await asyncio.to_thread(self._rooms.save, user, room)
        yield
        refs = [ImageRef.parse(ref) for ref in turn.images]
        try:
            async for event in self._assistant.astream(
                turn.question, refs, room.id, may_ask=True, at=at
            ):
                await asyncio.to_thread(self._apply, room, turn, view, event)
                if not isinstance(event, Token):
                    await asyncio.to_thread(self._rooms.save, user, room)
                yield
        except OverreadError as error:
            view.drop_stream()
            view.settle()
            view.say(f"⚠️ {plain_markdown(str(error))}")
            await asyncio.to_thread(self._rooms.save, user, room)
            yield
        finally:
            self._running.pop(room.id, None)

    def _apply(self, room: Room, turn: Turn, view: View, event: Event) -> None:
        match event:
            case EvidenceAdded():
                room.remember(event.evidence)
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
            case Token():
                view.stream(plain_markdown(event.text))
            case Revising():
                view.drop_stream()
            case AnswerReady():
                self._show_answer(room, turn, view, event.answer)

    def _show_answer(self, room: Room, turn: Turn, view: View, answer: Answer) -> None:
        view.drop_stream()
        view.settle()
        for item in answer.evidence:
            room.remember(item)
        room.asked = list(dict.fromkeys([*room.asked, *turn.images]))
        turn.done, turn.answer = True, answer.text
        lines = [link_citations(plain_markdown(answer.text))]
        lines += [f"> {plain_markdown(line)}" for line in caveats(answer)]
        lines.append(f"<small>{time_split(answer.usage)}. {answer.disclaimer}</small>")
        view.say("\n\n".join(lines))
