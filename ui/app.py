"""The Gradio part of the reading room: what happens on which event."""

import asyncio
import html
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from overread.imaging.errors import InputError, OverreadError, UnknownReference
from overread.ui.belongings import Belongings
from overread.ui.desk import Desk
from overread.ui.evidence_view import evidence_cards
from overread.ui.files import clear_unnamed, discard
from overread.ui.gate import NOT_UPLOADED
from overread.ui.layout import Layout, lay_out, mark
from overread.ui.opening import open_files
from overread.ui.pages import Pages
from overread.ui.report_editing import difference, status
from overread.ui.report_events import ReportEvents
from overread.ui.rooms import Room
from overread.ui.turn import STOPPED, Turns

Shown = list[Any]
"""New values of the components that change."""

KEEP_UPLOADS_S = 24 * 3600
_HANDLERS = 20
_SHOWN_JS = (
    "(...given) => { given[given.length - 1] = window.overread?.shown() ?? ''; return given; }"
)


class App:
    """Builds the Blocks; every handler looks the room up by the user who asks."""

    def __init__(self, desk: Desk, belongings: Belongings) -> None:
        """Work on the parts of a desk; `belongings` tells whose an upload is."""
        self._desk = desk
        self._belongings = belongings
        self._reports = ReportEvents(desk)
        self._turns = Turns(desk.assistant, desk.rooms, self._reports.answered)
        self._pages = Pages()

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
            gr.api(self.ask, api_name="ask", concurrency_limit=None)
        app.queue(default_concurrency_limit=_HANDLERS)
        return app

    def _wire(self, app: gr.Blocks, parts: Layout) -> None:
        outputs = [
            parts.box, parts.chat, parts.evidence, parts.marker, parts.session, parts.report,
            parts.report_status, parts.report_diff, parts.save, parts.sign, parts.consent,
        ]  # fmt: skip
        hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        # Each follows a question for as long as it runs, beside those of other sessions of the page.
        follows = hidden | {"concurrency_limit": None, "trigger_mode": "multiple"}
        app.load(self._enter, None, outputs, **hidden)
        parts.marker.open(self._open, None, outputs, **follows)
        parts.upload.upload(self._upload, [parts.upload, parts.session], outputs, **hidden)
        asked = [parts.box, parts.session, parts.shown]
        parts.box.submit(self._ask, asked, outputs, js=_SHOWN_JS, **follows)
        parts.chat.retry(self._retry, parts.session, outputs, **follows)
        parts.chat.edit(self._edit, parts.session, outputs, **follows)
        parts.box.stop(self._stop, parts.session, outputs, **hidden)
        parts.chat.like(self._reports.rate, parts.session, None, **hidden)
        parts.consent.input(self._reports.agree, [parts.session, parts.consent], None, **hidden)
        edited = [parts.session, parts.report]
        parts.report.input(
            self._reports.typed, edited, None, **(hidden | {"trigger_mode": "always_last"})
        )
        # What is refused changes nothing, and least of all what the reader has typed.
        for button, run in (
            (parts.draft, self._reports.draft),
            (parts.save, self._reports.save),
            (parts.sign, self._reports.sign),
        ):
            button.click(run, edited, None, **hidden).success(
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
            self._turns.ask(user, room, question, refs)
        except OverreadError as error:
            return {"error": str(error)}
        turn = room.turns[-1]
        try:
            async for _ in self._turns.watch(room):
                pass
        except asyncio.CancelledError:
            await self._turns.stop(room)  # nobody waits for it any more
            raise
        if not turn.done:
            return {"session": room.id, "error": turn.error or STOPPED}
        # Without the artifacts' paths: Gradio's client takes whatever has a path for a file to fetch.
        left_out = {"artifacts": {"__all__": {"path"}}}
        evidence = [item.model_dump(mode="json", exclude=left_out) for item in room.evidence]
        return {"session": room.id, "answer": turn.answer, "evidence": evidence}

    def _enter(self, request: gr.Request) -> Shown:
        room = self._desk.rooms.new(str(request.username))
        return self._show(request, room, report=True, consent=True)

    async def _open(self, event: gr.EventData, request: gr.Request) -> AsyncIterator[Shown]:
        wanted = str(event._data.get("session") or "") if isinstance(event._data, dict) else ""
        room = self._room(wanted, request) if wanted else None
        if room is None:
            yield self._enter(request)
            return
        self._turns.settle(room)
        # The same session is opened again to show what is new in it, not what stands in its report.
        other = not self._pages.shows(request, room)
        yield self._show(request, room, report=other, consent=other)
        async for shown in self._follow(request, room):
            yield shown

    def _show_room(self, session: str, request: gr.Request) -> Shown:
        room = self._room(session, request)
        return self._show(request, room, report=True) if room else self._enter(request)

    async def _upload(self, files: list[str], session: str, request: gr.Request) -> Shown:
        user, room = str(request.username), self._room(session, request)
        if room is None:
            return self._enter(request)
        try:
            await self._take(user, room, [Path(file) for file in files])
        except OverreadError as error:
            _refuse(error)
        await asyncio.to_thread(self._desk.rooms.save, user, room)
        return self._show(request, room)

    async def _ask(
        self, asked: dict[str, Any], session: str, shown: str, request: gr.Request
    ) -> AsyncIterator[Shown]:
        user, room = str(request.username), self._room(session, request)
        if room is None:
            yield self._enter(request)
            return
        if not asked["text"].strip() and not asked["files"]:
            yield _NOTHING
            return
        yield [gr.MultimodalTextbox(value=None, submit_btn=False), *_NOTHING[1:]]
        try:
            refs = await self._take(user, room, [Path(name) for name in asked["files"]])
            refs += self._looked_at(room, refs, shown)
            if asked["text"].strip():
                self._turns.ask(user, room, asked["text"], refs)
        except OverreadError as error:
            _refuse(error)
            yield [self._box(room, asked["text"]), *self._show(request, room)[1:]]
            return
        async for one in self._follow(request, room):
            yield one

    async def _retry(
        self, session: str, event: gr.RetryData, request: gr.Request
    ) -> AsyncIterator[Shown]:
        async for shown in self._again(session, event.index, None, request):
            yield shown

    async def _edit(
        self, session: str, event: gr.EditData, request: gr.Request
    ) -> AsyncIterator[Shown]:
        async for shown in self._again(session, event.index, str(event.value), request):
            yield shown

    async def _again(
        self, session: str, index: Any, question: str | None, request: gr.Request
    ) -> AsyncIterator[Shown]:
        user, room = str(request.username), self._room(session, request)
        if room is None:
            yield self._enter(request)
            return
        try:
            number = room.turn_of(int(index if isinstance(index, int) else index[0]))
            self._turns.again(user, room, number, question)
        except OverreadError as error:
            _refuse(error)
        async for shown in self._follow(request, room):
            yield shown

    async def _stop(self, session: str, request: gr.Request) -> Shown:
        room = self._room(session, request)
        if room is None:
            return self._enter(request)
        await self._turns.stop(room)
        return self._show(request, room)

    async def _follow(self, request: gr.Request, room: Room) -> AsyncIterator[Shown]:
        """Show what is said in a room until its question ends or the page shows another room."""
        known = room.report
        self._pages.show(request, room)
        async for _ in self._turns.watch(room):
            if not self._pages.shows(request, room):
                break
            yield self._show(request, room)
        if not self._pages.shows(request, room):
            yield _NOTHING  # for Gradio says again at the end what was yielded last
            return
        if room.report is not known:
            yield self._show(request, room, report=True)
        yield self._show(request, room)

    def _room(self, session: str, request: gr.Request) -> Room | None:
        """Return the room that a page shows; None, and a word about it, if it is gone."""
        try:
            return self._desk.rooms.get(str(request.username), session)
        except UnknownReference:
            gr.Warning("This session is not here any more; a new one begins.", duration=None)
            return None

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
                    discard(file)
            clear_unnamed(self._desk.assistant.resources.data / "uploads", self._belongings.since())

    def _looked_at(self, room: Room, refs: Sequence[str], shown: str) -> list[str]:
        """Return the image in the viewer if the agent has none of its series yet."""
        if not shown:
            return []
        ref = str(self._desk.image(room, shown).ref)
        if not any(_together(ref, other) for other in [*room.asked, *refs]):
            return [ref]
        return []

    def _box(self, room: Room, text: str | None = None) -> gr.MultimodalTextbox:
        busy = self._turns.is_running(room)
        if text is None:
            return gr.MultimodalTextbox(submit_btn=not busy, stop_btn=busy)
        return gr.MultimodalTextbox(value=text, submit_btn=not busy, stop_btn=busy)

    def _show(
        self, request: gr.Request, room: Room, report: bool = False, consent: bool = False
    ) -> Shown:
        """Return the outputs; what a reader types or ticks only where it is another one.

        What a reader types into the report and has not saved must outlast answers. The last outputs of
        a turn reach the page twice, the second time when the reader may be typing already.
        """
        self._pages.show(request, room)
        return [
            self._box(room),
            list(room.messages),
            evidence_cards(room.evidence, self._desk.assistant.resources.artifacts.path),
            mark(room, str(request.username)),
            room.id,
            *(_shown_report(room) if report else [gr.skip()] * _OF_REPORT),
            gr.Checkbox(value=room.consent) if consent else gr.skip(),
        ]


def _refuse(error: OverreadError) -> None:
    """Say in one sentence why nothing was done; it stays until the reader has closed it."""
    gr.Warning(html.escape(str(error)), duration=None)


def _shown_report(room: Room) -> Shown:
    report = room.report
    is_open = report is not None and report.signed_by is None
    return [
        gr.Textbox(value=(report.typed or report.text) if report else "", interactive=is_open),
        status(room.id, report),
        difference(report.draft, report.text) if report else "",
        gr.Button(interactive=is_open),
        gr.Button(interactive=is_open),
    ]


_OF_REPORT = 5
"""Outputs that show the report."""

_NOTHING: Shown = [gr.skip() for _ in range(6 + _OF_REPORT)]


def _together(one: str, other: str) -> bool:
    return one.split("/")[:2] == other.split("/")[:2]
