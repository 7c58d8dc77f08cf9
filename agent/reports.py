"""Reports of an assistant's sessions, for callers without an event loop."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from overread.agent.resources import Resources
from overread.agent.sessions import check_session_id
from overread.agent.signing import ReportDesk
from overread.tools.reporting.export import Exported, export
from overread.tools.reporting.model import StructuredReport


class Reports:
    """`assistant.reports`: draft, edit, sign and export the report of a session.

    >>> report = assistant.reports.draft(answer.session)  # doctest: +SKIP
    >>> report = assistant.reports.sign(answer.session, "Dr. A. Reader")  # doctest: +SKIP
    >>> files = assistant.reports.export(report, ["pdf", "sr"])  # doctest: +SKIP
    """

    def __init__(
        self,
        desk: ReportDesk,
        resources: Resources,
        wait: Callable[[Coroutine[Any, Any, Any]], Any],
    ) -> None:
        """Work at a desk; `wait` runs its coroutines."""
        self._desk, self._resources, self._wait = desk, resources, wait

    def draft(
        self, session: str, image: int | None = None, redraft: bool = False
    ) -> StructuredReport:
        """As `ReportDesk.draft`."""
        return self._wait(self._desk.draft(check_session_id(session), image, redraft))

    def edit(self, session: str, text: str) -> StructuredReport:
        """As `ReportDesk.edit`."""
        return self._wait(self._desk.edit(check_session_id(session), text))

    def sign(self, session: str, signer: str) -> StructuredReport:
        """As `ReportDesk.sign`."""
        return self._wait(self._desk.sign(check_session_id(session), signer))

    def versions(self, session: str) -> list[StructuredReport]:
        """As `ReportDesk.versions`."""
        return self._wait(self._desk.versions(check_session_id(session)))

    def export(self, report: StructuredReport, formats: Sequence[str]) -> list[Exported]:
        """As `overread.tools.reporting.export.export`."""
        return export(report, formats, self._resources.archive, self._resources.artifacts)
