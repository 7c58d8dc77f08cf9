"""A reader's edits, signature and thumbs; with consent they become preference pairs."""

import time
from typing import Any

import gradio as gr

from overread.imaging.errors import InputError
from overread.ui.desk import Desk
from overread.ui.report_editing import MAX_CHARS
from overread.ui.rooms import Report, Room


class ReportEvents:
    """Handlers of the report's editor and of the thumbs."""

    def __init__(self, desk: Desk) -> None:
        """Work on the rooms and the feedback of a desk."""
        self._desk = desk

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
        self._desk.feedback.note(user, id_, turn.question, turn.answer, refs, thumb=thumb)
        gr.Info("Kept, and noted for training on this machine.")

    def _keep(self, user: str, session: str, text: str, consent: bool, sign: bool) -> None:
        room = self._desk.rooms.get(user, session)
        report = room.report
        if report is None or report.signed_by is not None:
            gr.Warning("There is no draft to edit.")
            return
        if not text.strip() or len(text) > MAX_CHARS:
            gr.Warning(f"A report has 1 to {MAX_CHARS:,} characters.")
            return
        report.text = text
        if sign:
            report.signed_by, report.signed_at = user, time.time()
        self._desk.rooms.save(user, room)
        self._learn(user, room, report, consent)

    def _learn(self, user: str, room: Room, report: Report, consent: bool) -> None:
        id_ = f"{room.id}:report-{report.evidence}"
        image: Any = room.find(report.evidence).image
        if not consent or image is None or report.text.strip() == report.draft.strip():
            self._desk.feedback.forget(user, room.id, id_)
            return
        self._desk.feedback.note(
            user, id_, report.question, report.draft, [str(image)], correction=report.text
        )
