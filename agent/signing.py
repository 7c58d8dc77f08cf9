"""Reports wait for a reader: a graph that stops, keeps every version, and ends with a signature."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from overread.agent.sessions import only_user, report_thread
from overread.agent.state import Json
from overread.agent.threads import in_thread
from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.study import ImageRef
from overread.tools import report_text
from overread.tools.base import Evidence
from overread.tools.fence import clean
from overread.tools.reporting.compose import compose
from overread.tools.reporting.markdown import parse
from overread.tools.reporting.model import StructuredReport

Recall = Callable[[str], Awaitable[tuple[list[Evidence], list[ImageRef]]]]
MAX_SIGNER = 64


class ReportState(TypedDict):
    """A session's report as checkpoints hold it.

    Attributes:
        report: `StructuredReport` as JSON.
        versions: What it was before, oldest first; the first is the draft as composed.
    """

    report: Json
    versions: list[Json]


class ReportDesk:
    """One report a session. It waits at an interrupt until it is signed, over restarts too."""

    def __init__(
        self, archive: Archive, data: Path, saver: BaseCheckpointSaver[str], recall: Recall
    ) -> None:
        """Compile the graph; `recall` returns a session's evidence and images."""
        self._archive, self._data, self._recall = archive, data, recall
        graph = StateGraph(ReportState)
        graph.add_node("review", _review)
        graph.add_edge(START, "review")
        graph.add_conditional_edges("review", _after_review)
        self._graph = graph.compile(checkpointer=saver)

    async def draft(
        self, session: str, image: int | None = None, redraft: bool = False
    ) -> StructuredReport:
        """Return the report of a session; compose it if there is none.

        A draft that nobody has edited follows the session's evidence.

        Args:
            session: Its id.
            image: Number of the image to report; the first with findings if None.
            redraft: Compose it anew, whatever was edited or signed.

        Raises:
            UnknownReference: There is no such session or image.
            InputError: There is no evidence to report, the session is busy, or another image of it
                was reported and edited.
        """
        with only_user(self._data, session):
            evidence, images = await self._recall(session)
            old, versions = await self._stored(session)
            ref = _chosen(evidence, images, image)
            if old is not None and (versions or old.is_signed) and not redraft:
                if ref is not None and str(ref) != old.image:
                    raise InputError(
                        f"the report of session {session} is of {old.image} and was edited or "
                        "signed; draft it anew (--redraft) to report another image"
                    )
                return old
            if ref is None:
                ref = ImageRef.parse(old.image) if old is not None else images[0]
            new = await in_thread(lambda: compose(evidence, ref, images, self._archive))
            if new != old:
                start: ReportState = {"report": new.model_dump(mode="json"), "versions": []}
                await self._graph.ainvoke(start, self._config(session), durability="sync")
            return new

    async def edit(self, session: str, text: str) -> StructuredReport:
        """Take the reader's text, as Markdown, for the draft.

        Raises:
            UnknownReference: The session has no report.
            InputError: It is signed, or the text cannot be used.
        """
        with only_user(self._data, session):
            report = await self._waiting(session)
            edited = parse(text, report)
            if edited != report:
                await self._go_on(session, edited)
            return edited

    async def sign(self, session: str, signer: str) -> StructuredReport:
        """Sign the draft; a signed report is final.

        Raises:
            UnknownReference: The session has no report.
            InputError: It is signed already, or the name is empty or too long.
        """
        name = " ".join(clean(signer).split())
        if not 0 < len(name) <= MAX_SIGNER:
            raise InputError(f"a signature is a name of 1 to {MAX_SIGNER} characters")
        with only_user(self._data, session):
            report = await self._waiting(session)
            if report.is_signed:
                raise InputError(f"the report was signed by {report.signer} already")
            signed = report.signed(name, datetime.now(UTC).replace(microsecond=0))
            await self._go_on(session, signed)
            return signed

    async def versions(self, session: str) -> list[StructuredReport]:
        """Return every version of the report, oldest first: the draft, each edit, the signed one.

        Raises:
            UnknownReference: The session has no report.
        """
        report = await self._waiting(session)
        return [*(await self._stored(session))[1], report]

    async def _go_on(self, session: str, report: StructuredReport) -> None:
        reply: Command[Any] = Command(resume=report.model_dump(mode="json"))
        await self._graph.ainvoke(reply, self._config(session), durability="sync")

    async def _stored(self, session: str) -> tuple[StructuredReport | None, list[StructuredReport]]:
        values = (await self._graph.aget_state(self._config(session))).values
        if not values:
            return None, []
        before = [StructuredReport.model_validate(item) for item in values["versions"]]
        return StructuredReport.model_validate(values["report"]), before

    async def _waiting(self, session: str) -> StructuredReport:
        report, _ = await self._stored(session)
        if report is None:
            await self._recall(session)  # says so if there is no such session
            raise InputError(f"session {session} has no report yet; draft it first")
        return report

    def _config(self, session: str) -> RunnableConfig:
        return {"configurable": {"thread_id": report_thread(session)}}


async def _review(state: ReportState) -> ReportState:
    """Wait for the reader; what comes back is the next version."""
    changed = interrupt({"kind": "sign_off", "report": state["report"]})
    return {"report": changed, "versions": [*state["versions"], state["report"]]}


async def _after_review(state: ReportState) -> str:
    return END if state["report"]["status"] == "signed" else "review"


def _chosen(
    evidence: list[Evidence], images: list[ImageRef], number: int | None
) -> ImageRef | None:
    """Return the image asked for, else the first of which something was found out."""
    if number is None:
        return next((r for r in images if report_text.findings(evidence, str(r))), None)
    if not 1 <= number <= len(images):
        raise InputError(f"there is no image {number}; this session has {len(images)} image(s)")
    return images[number - 1]
