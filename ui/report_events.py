"""A reader's edits, signature and thumbs; with consent they become preference pairs."""

from collections.abc import Sequence

import gradio as gr

from overread.imaging.errors import InputError, OverreadError
from overread.tools.reporting.markdown import render
from overread.tools.reporting.model import StructuredReport
from overread.ui.desk import Desk
from overread.ui.report_editing import MAX_CHARS
from overread.ui.rooms import Report, Room

QUESTION = "Write a report of this image."
"""What a report answers, where it is learnt from."""


class ReportEvents:
    """Handlers of the report's editor and of the thumbs."""

    def __init__(self, desk: Desk) -> None:
        """Work on the rooms and the feedback of a desk."""
        self._desk = desk

    def draft(self, session: str, request: gr.Request) -> None:
        """Compose the report from the evidence of the session."""
        user = str(request.username)
        try:
            self.compose(user, self._desk.rooms.get(user, session))
        except OverreadError as error:
            gr.Warning(str(error))

    def compose(self, user: str, room: Room) -> None:
        """Compose a room's report, or take up the one that was edited.

        Raises:
            OverreadError: There is no evidence yet, or the session is busy.
        """
        reports = self._desk.assistant.reports
        reports.draft(room.id)
        room.report = shown(reports.versions(room.id))
        self._desk.rooms.save(user, room)

    def save(self, session: str, text: str, consent: bool, request: gr.Request) -> None:
        """Keep what the reader made of the draft."""
        self._keep(str(request.username), session, text, consent, sign=False)

    def sign(self, session: str, text: str, consent: bool, request: gr.Request) -> None:
        """Keep it, and sign it with the user's name."""
        self._keep(str(request.username), session, text, consent, sign=True)

    def rate(self, session: str, consent: bool, event: gr.LikeData, request: gr.Request) -> None:
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
        if not consent or thumb is None or turn.answer is None or not refs:
            self._desk.feedback.forget(user, session, id_)
            gr.Info("Kept with this session." if thumb else "Taken back.")
            return
        note = self._desk.feedback.note
        if note(user, id_, turn.question, turn.answer, refs, thumb=thumb):
            gr.Info("Kept, and noted for training on this machine.")
        else:
            gr.Info("Kept with this session; a synthetic image is not learnt from.")

    def _keep(self, user: str, session: str, text: str, consent: bool, sign: bool) -> None:
        room = self._desk.rooms.get(user, session)
        if room.report is None or room.report.signed_by is not None:
            gr.Warning("There is no draft to edit.")
            return
        if not text.strip() or len(text) > MAX_CHARS:
            gr.Warning(f"A report has 1 to {MAX_CHARS:,} characters.")
            return
        reports = self._desk.assistant.reports
        try:
            reports.edit(session, text)
            if sign:
                reports.sign(session, user)
        except OverreadError as error:
            gr.Warning(str(error))
            return
        room.report = shown(reports.versions(session))
        self._desk.rooms.save(user, room)
        self._learn(user, room, room.report, consent)

    def _learn(self, user: str, room: Room, report: Report, consent: bool) -> None:
        id_ = f"{room.id}:report"
        draft, text = (report.draft, report.text)
        if not consent or draft.strip() == text.strip():
            self._desk.feedback.forget(user, room.id, id_)
            return
        self._desk.feedback.note(user, id_, QUESTION, draft, [report.image], correction=text)


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
