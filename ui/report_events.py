"""A reader's edits, signature and thumbs; with consent they become preference pairs."""

import html
from collections.abc import Sequence

import gradio as gr

from overread.imaging.errors import InputError, OverreadError
from overread.tools.reporting.markdown import render
from overread.tools.reporting.model import StructuredReport
from overread.ui.desk import Desk
from overread.ui.report_editing import MAX_CHARS
from overread.ui.rooms import Report, Room

REPORT_TOOL = "generate_report"
QUESTION = "Write a report of this image."
"""What a report answers, where it is learnt from."""


class ReportEvents:
    """Handlers of the report's editor and of the thumbs."""

    def __init__(self, desk: Desk) -> None:
        """Work on the rooms and the feedback of a desk."""
        self._desk = desk

    def draft(self, session: str, text: str, request: gr.Request) -> None:
        """Compose the report from the evidence of the session.

        Raises:
            gr.Error: There is nothing to report, or what was typed is not saved.
        """
        user = str(request.username)
        room = self._desk.rooms.get(user, session)
        if room.report is not None and room.report.signed_by is not None:
            raise _refusal("The report is signed and final; a new session takes another one.")
        if room.report is not None and text.strip() != room.report.text.strip():
            raise _refusal("What you typed is not saved yet; save it first, then draft.")
        try:
            self._compose(user, room)
        except OverreadError as error:
            raise _refusal(str(error)) from error

    def answered(self, user: str, room: Room) -> None:
        """Compose a room's report where the last answer drafted one, or take up the edited one."""
        if any(item.tool == REPORT_TOOL for item in room.evidence[room.turns[-1].evidence :]):
            self._compose(user, room)

    def typed(self, session: str, text: str, request: gr.Request) -> None:
        """Keep what the reader types, so that no other session, answer or reload takes it away."""
        user = str(request.username)
        report = self._desk.rooms.get(user, session).report
        if report is not None and report.signed_by is None:
            report.typed = text if text.strip() != report.text.strip() else None
            self._desk.rooms.save(user, self._desk.rooms.get(user, session))

    def save(self, session: str, text: str, request: gr.Request) -> None:
        """Keep what the reader made of the draft.

        Raises:
            gr.Error: It cannot be kept; the sentence says why.
        """
        self._keep(str(request.username), session, text, sign=False)

    def sign(self, session: str, text: str, request: gr.Request) -> None:
        """Keep it, and sign it with the user's name.

        Raises:
            gr.Error: It cannot be signed; the sentence says why.
        """
        self._keep(str(request.username), session, text, sign=True)

    def agree(self, session: str, consent: bool, request: gr.Request) -> None:
        """Take or withdraw the consent to learn from a session; what was noted of it goes with it."""
        user = str(request.username)
        room = self._desk.rooms.get(user, session)
        room.consent = consent
        self._desk.rooms.save(user, room)
        if not consent:
            self._desk.feedback.forget(user, session)
            gr.Info("Nothing of this session is kept for training any more.")

    def rate(self, session: str, event: gr.LikeData, request: gr.Request) -> None:
        """Keep a thumb; it is written for training only with consent."""
        user = str(request.username)
        room = self._desk.rooms.get(user, session)
        index = event.index if isinstance(event.index, int) else event.index[0]
        try:
            turn = room.turns[room.turn_of(index)]
        except InputError as error:
            gr.Warning(str(error))
            return
        thumb = {True: "up", "Like": "up", False: "down", "Dislike": "down"}.get(event.liked)
        id_ = f"{session}:{turn.message}"
        if thumb is None:
            room.thumbs.pop(turn.message, None)
        else:
            room.thumbs[turn.message] = thumb
        self._desk.rooms.save(user, room)
        refs = [*turn.asked, *turn.images]
        if not room.consent or thumb is None or turn.answer is None or not refs:
            self._desk.feedback.forget(user, session, id_)
            gr.Info("Kept with this session." if thumb else "Taken back.")
            return
        note = self._desk.feedback.note
        if note(user, id_, turn.question, turn.answer, refs, thumb=thumb):
            gr.Info("Kept, and noted for training on this machine.")
        else:
            gr.Info("Kept with this session; a synthetic image is not learnt from.")

    def _compose(self, user: str, room: Room) -> None:
        reports, before = self._desk.assistant.reports, room.report
        reports.draft(room.id)
        room.report = shown(reports.versions(room.id))
        if before is not None and before.image == room.report.image:
            room.report.typed = before.typed
        self._desk.rooms.save(user, room)

    def _keep(self, user: str, session: str, text: str, sign: bool) -> None:
        room = self._desk.rooms.get(user, session)
        if room.report is None or room.report.signed_by is not None:
            raise _refusal("There is no draft to edit.")
        if not text.strip() or len(text) > MAX_CHARS:
            raise _refusal(f"A report has 1 to {MAX_CHARS:,} characters.")
        reports = self._desk.assistant.reports
        try:
            reports.edit(session, text)
            if sign:
                reports.sign(session, user)
        except OverreadError as error:
            raise _refusal(str(error)) from error
        room.report = shown(reports.versions(session))
        self._desk.rooms.save(user, room)
        self._learn(user, room, room.report)

    def _learn(self, user: str, room: Room, report: Report) -> None:
        id_ = f"{room.id}:report"
        draft, text = (report.draft, report.text)
        if not room.consent or draft.strip() == text.strip():
            self._desk.feedback.forget(user, room.id, id_)
            return
        self._desk.feedback.note(user, id_, QUESTION, draft, [report.image], correction=text)


def _refusal(sentence: str) -> gr.Error:
    """Return what stops an event, so that nothing after it changes the page."""
    return gr.Error(html.escape(sentence), duration=None, print_exception=False)


def shown(versions: Sequence[StructuredReport]) -> Report:
    """Return a report for the editor.

    Args:
        versions: All, oldest first: the draft as composed, the edits, the signed one.
    """
    now = versions[-1]
    return Report(
        image=now.image,
        draft=body(versions[0]),
        text=body(now),
        signed_by=now.signer,
        signed_at=f"{now.signed_at:%Y-%m-%d %H:%M} UTC" if now.signed_at else "",
    )


def body(report: StructuredReport) -> str:
    """Return the sections that a reader edits: without title, banner and the list of evidence."""
    text = render(report)
    return text[text.index("## Technique") :].split("\n## Evidence\n")[0].strip() + "\n"
