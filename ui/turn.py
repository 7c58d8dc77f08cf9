"""One question in the app: runs the agent and turns its events into what a person sees."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from PIL import Image as PilImage

from overread.agent.answer import Answer
from overread.agent.assistant import Assistant
from overread.agent.events import (
    AnswerReady,
    Event,
    EvidenceAdded,
    Revising,
    SessionStarted,
    StepPlanned,
    Token,
    ToolFinished,
    ToolStarted,
)
from overread.imaging.errors import OverreadError
from overread.imaging.render import to_view
from overread.imaging.study import ImageRef
from overread.tools.base import Evidence
from overread.tools.pictures import png
from overread.ui.files import replace_file
from overread.ui.view import View
from overread.ui.wording import (
    call_text,
    caveats,
    emphasise_citations,
    plain_markdown,
    time_split,
)

PICTURE_PX = 1024


class Turns:
    """Answers questions for any number of browser tabs."""

    def __init__(self, assistant: Assistant, downloads: Path) -> None:
        """Use one agent and the stores it writes to; reports to download go to `downloads`."""
        self._assistant = assistant
        self._downloads = downloads
        self._archive = assistant.resources.archive
        self._artifacts = assistant.resources.artifacts

    async def __call__(
        self, view: View, question: str, files: Sequence[Path]
    ) -> AsyncIterator[View]:
        """Answer one question; yields the view whenever it changed. An error is a message in it."""
        view.say(plain_markdown(question) or "…", role="user")
        yield view
        try:
            async for event in self._assistant.astream(question, files, view.session, may_ask=True):
                await asyncio.to_thread(self._apply, view, event)
                yield view
        except OverreadError as error:
            view.settle()
            view.say(f"⚠️ {plain_markdown(str(error))}")
            yield view

    def _apply(self, view: View, event: Event) -> None:
        match event:
            case SessionStarted():
                view.session = event.session
            case EvidenceAdded():
                view.evidence.append(event.evidence)
                self._show_image(view, event.evidence)
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
                    view.evidence.append(event.evidence)
                    self._show_artifacts(view, event.evidence)
            case Token():
                view.stream(plain_markdown(event.text))
            case Revising():
                view.drop_stream()
            case AnswerReady():
                self._show_answer(view, event.answer)

    def _show_image(self, view: View, evidence: Evidence) -> None:
        if evidence.image is None:
            return
        view.images += 1
        caption = f"image {view.images}"
        picture = PilImage.fromarray(to_view(self._archive.load(ImageRef.parse(evidence.image))))
        picture.thumbnail((PICTURE_PX, PICTURE_PX))
        stored = self._artifacts.put(png(picture), "contact_sheet", caption, ".png")
        view.pictures.append((self._artifacts.path(stored), caption))
        view.show(self._artifacts.path(stored), caption, role="user")

    def _show_artifacts(self, view: View, evidence: Evidence) -> None:
        for artifact in evidence.artifacts:
            path = self._artifacts.path(artifact)
            if artifact.kind in ("overlay", "contact_sheet", "plot"):
                view.pictures.append((path, f"{evidence.id} {artifact.name}"))
                view.show(path, f"{evidence.id} {artifact.name}")
            elif artifact.kind == "report":
                name = f"overread-{view.session}-{evidence.id}{path.suffix}"
                view.report = replace_file(self._downloads / name, path.read_bytes())
                view.fold(artifact.name, path.read_text("utf-8").replace("![", r"\!["))

    def _show_answer(self, view: View, answer: Answer) -> None:
        view.drop_stream()
        view.settle()
        view.evidence = list(answer.evidence)
        lines = [emphasise_citations(plain_markdown(answer.text), "**", "**")]
        lines += [f"> {plain_markdown(line)}" for line in caveats(answer)]
        lines.append(f"<small>{time_split(answer.usage)}. {answer.disclaimer}</small>")
        view.say("\n\n".join(lines))
