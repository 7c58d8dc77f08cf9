"""The Gradio part of the reading room: what happens on which event."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from overread.imaging.errors import InputError, OverreadError
from overread.ui.belongings import Belongings
from overread.ui.desk import Desk
from overread.ui.evidence_view import evidence_cards
from overread.ui.gate import NOT_UPLOADED
from overread.ui.layout import Layout, lay_out, mark
from overread.ui.opening import open_files
from overread.ui.report_editing import difference, status
from overread.ui.report_events import ReportEvents
from overread.ui.rooms import Room
from overread.ui.turn import Turns
from overread.ui.view import View
from overread.ui.wording import plain_markdown

REPORT_TOOL = "generate_report"
CONCURRENT_TURNS = 20
KEEP_UPLOADS_S = 24 * 3600
_SHOWN_JS = (
    "(...given) => { given[given.length - 1] = window.overread?.shown() ?? ''; return given; }"
)


class App:
    """Builds the Blocks; every handler looks the room up by the user who asks."""

    def __init__(self, desk: Desk, belongings: Belongings) -> None:
        """Work on the parts of a desk; `belongings` tells whose an upload is."""
        self._desk = desk
        self._belongings = belongings
        self._turns = Turns(desk.assistant, desk.rooms)
        self._reports = ReportEvents(desk)

    def build(self) -> gr.Blocks:
        """Return the Blocks."""
        limit = self._desk.assistant.config.agent.max_question_chars
        with gr.Blocks(
            title="Overread",
            analytics_enabled=False,
            fill_width=True,
            delete_cache=(3600, KEEP_UPLOADS_S),
        ) as app:
            parts = lay_out(limit)
            self._wire(app, parts)
            gr.api(self.ask, api_name="ask", concurrency_limit=CONCURRENT_TURNS)
        app.queue(default_concurrency_limit=CONCURRENT_TURNS)
        return app

    def _wire(self, app: gr.Blocks, parts: Layout) -> None:
        outputs = [
            parts.box, parts.chat, parts.evidence, parts.marker, parts.session, parts.report,
            parts.report_status, parts.report_diff, parts.save, parts.sign,
        ]  # fmt: skip
        hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        slow = hidden | {"concurrency_limit": CONCURRENT_TURNS}
        app.load(self._enter, None, outputs, **hidden)
        parts.marker.open(self._open, None, outputs, **hidden)
        parts.upload.upload(self._upload, [parts.upload, parts.session], outputs, **slow)
        asked = [parts.box, parts.session, parts.shown]
        running: list[Any] = [
            parts.box.submit(self._ask, asked, outputs, js=_SHOWN_JS, **slow),
            parts.chat.retry(self._retry, parts.session, outputs, **slow),
            parts.chat.edit(self._edit, parts.session, outputs, **slow),
        ]
        for event in running:
            event.failure(self._failed, parts.session, outputs, **hidden)
        parts.box.stop(self._stop, parts.session, outputs, cancels=running, **hidden)
        liked = [parts.session, parts.consent]
        parts.chat.like(self._reports.rate, liked, None, **hidden)
        parts.draft.click(self._reports.draft, parts.session, None, **hidden).then(
            self._show_room, parts.session, outputs, **hidden
        )
        edited = [parts.session, parts.report, parts.consent]
        parts.save.click(self._reports.save, edited, None, **hidden).then(
            self._show_room, parts.session, outputs, **hidden
        )
        parts.sign.click(self._reports.sign, edited, None, **hidden).then(
            self._show_room, parts.session, outputs, **hidden
        )

    async def ask(
        self,
        question: str,
        images: list[dict[str, Any]],
        session: str,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Answer a question about images; for programs.

        Args:
            question: In words.
            images: Uploaded files (`gradio_client.handle_file`); they join the session's.
            session: To continue; "" for a new one.
            request: Filled in by Gradio.

        Returns:
            `session`, `answer`, `evidence` as JSON; or `error`, one sentence.
        """
        user = str(request.username)
        try:
            room = self._desk.rooms.get(user, session) if session else self._desk.rooms.new(user)
            refs = await self._take(user, room, [Path(str(file["path"])) for file in images])
            async for _ in self._turns.ask(user, room, question, refs):
                pass
        except OverreadError as error:
            return {"error": str(error)}
        last = room.turns[-1]
        if not last.done:
            return {"session": room.id, "error": str(room.messages[-1]["content"])}
        # Without the artifacts' paths: Gradio's client takes whatever has a path for a file to fetch.
        left_out = {"artifacts": {"__all__": {"path"}}}
        evidence = [item.model_dump(mode="json", exclude=left_out) for item in room.evidence]
        return {"session": room.id, "answer": last.answer, "evidence": evidence}

    def _enter(self, request: gr.Request) -> list[Any]:
        user = str(request.username)
        return self._show(user, self._desk.rooms.new(user), report=True)

    def _open(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        user = str(request.username)
        wanted = str(event._data.get("session") or "") if isinstance(event._data, dict) else ""
        try:
            room = self._desk.rooms.get(user, wanted) if wanted else self._desk.rooms.new(user)
        except InputError as error:
            gr.Warning(str(error))
            room = self._desk.rooms.new(user)
        return self._show(user, room, report=True)

    def _show_room(self, session: str, request: gr.Request) -> list[Any]:
        user = str(request.username)
        return self._show(user, self._desk.rooms.get(user, session), report=True)

    async def _upload(self, files: list[str], session: str, request: gr.Request) -> list[Any]:
        user = str(request.username)
        room = self._desk.rooms.get(user, session)
        try:
            await self._take(user, room, [Path(file) for file in files])
            await asyncio.to_thread(self._desk.rooms.save, user, room)
        except OverreadError as error:
            View(room.messages).say(f"⚠️ {plain_markdown(str(error))}")
        return self._show(user, room)

    async def _ask(
        self, asked: dict[str, Any], session: str, shown: str, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        user = str(request.username)
        room = self._desk.rooms.get(user, session)
        yield [gr.MultimodalTextbox(value=None, submit_btn=False, stop_btn=True), *_SKIP]
        try:
            refs = await self._take(user, room, [Path(name) for name in asked["files"]])
            refs += self._looked_at(room, refs, shown)
        except OverreadError as error:
            view = View(room.messages)
            view.say(plain_markdown(asked["text"]) or "…", role="user")
            view.say(f"⚠️ {plain_markdown(str(error))}")
            yield self._show(user, room)
            return
        async for _ in self._turns.ask(user, room, asked["text"], refs):
            yield self._show(user, room, busy=True)
        if any(item.tool == REPORT_TOOL for item in room.evidence[room.turns[-1].evidence :]):
            await asyncio.to_thread(self._reports.compose, user, room)
            yield self._show(user, room, report=True)
        yield self._show(user, room)

    async def _retry(
        self, session: str, event: gr.RetryData, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        async for shown in self._again(session, event.index, None, request):
            yield shown

    async def _edit(
        self, session: str, event: gr.EditData, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        async for shown in self._again(session, event.index, str(event.value), request):
            yield shown

    async def _again(
        self, session: str, index: Any, question: str | None, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        user = str(request.username)
        room = self._desk.rooms.get(user, session)
        try:
            number = room.turn_of(int(index if isinstance(index, int) else index[0]))
        except InputError as error:
            gr.Warning(str(error))
            yield self._show(user, room)
            return
        async for _ in self._turns.again(user, room, number, question):
            yield self._show(user, room, busy=True)
        yield self._show(user, room)

    def _stop(self, session: str, request: gr.Request) -> list[Any]:
        user = str(request.username)
        room = self._desk.rooms.get(user, session)
        self._turns.stop(room)
        self._desk.rooms.save(user, room)
        return self._show(user, room)

    def _failed(self, session: str, request: gr.Request) -> list[Any]:
        user = str(request.username)
        room = self._desk.rooms.get(user, session)
        view = View(room.messages)
        view.settle()
        view.say("Something went wrong inside Overread; its terminal says what.")
        return self._show(user, room)

    async def _take(self, user: str, room: Room, files: Sequence[Path]) -> list[str]:
        """Open a user's uploads in a room and delete them; return a reference a series."""
        if not all(self._belongings.owns(user, str(file)) for file in files):
            raise InputError(NOT_UPLOADED)
        try:
            return await asyncio.to_thread(
                open_files, self._desk.assistant.resources, room, list(files)
            )
        finally:
            for file in files:
                if self._belongings.release(user, str(file)):
                    file.unlink(missing_ok=True)

    def _looked_at(self, room: Room, refs: Sequence[str], shown: str) -> list[str]:
        """Return the image in the viewer if the agent has none of its series yet."""
        if not shown:
            return []
        ref = str(self._desk.image(room, shown).ref)
        if not any(_together(ref, other) for other in [*room.asked, *refs]):
            return [ref]
        return []

    def _show(self, user: str, room: Room, busy: bool = False, report: bool = False) -> list[Any]:
        """Return the outputs; the report only where it is another one.

        What a reader types into it and has not saved must outlast answers. The last outputs of a
        turn reach the page twice, the second time when the reader may be typing already.
        """
        now = [
            gr.skip() if busy else gr.MultimodalTextbox(submit_btn=True, stop_btn=False),
            list(room.messages),
            evidence_cards(room.evidence, self._desk.assistant.resources.artifacts.path),
            mark(room, user),
            room.id,
        ]
        return now + (_shown_report(room) if report else [gr.skip()] * _OF_REPORT)


def _shown_report(room: Room) -> list[Any]:
    report = room.report
    is_open = report is not None and report.signed_by is None
    return [
        gr.Textbox(value=report.text if report else "", interactive=is_open),
        status(room.id, report),
        difference(report.draft, report.text) if report else "",
        gr.Button(interactive=is_open),
        gr.Button(interactive=is_open),
    ]


_OF_REPORT = 5
"""Outputs that show the report."""

_SKIP = [gr.skip() for _ in range(4 + _OF_REPORT)]


def _together(one: str, other: str) -> bool:
    return one.split("/")[:2] == other.split("/")[:2]
