"""The report as its reader edits it: the difference to the draft, and the file that is exported."""

import difflib
import html
import time

from overread.ui.rooms import Report
from overread.ui.terminal import RESEARCH_USE

DRAFT = "DRAFT, not signed"
MAX_CHARS = 20_000


def report_file(session: str, report: Report) -> tuple[str, str]:
    """Return name and text of the exported report; one that is not signed says so on top."""
    if report.signed_by is None:
        return f"overread-{session}-draft.md", f"**{DRAFT}.** {RESEARCH_USE}\n\n{report.text}\n"
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(report.signed_at))
    signed = f"Signed by {report.signed_by}, {when}. {RESEARCH_USE}"
    return f"overread-{session}-signed.md", f"{report.text}\n\n---\n{signed}\n"


def difference(draft: str, text: str) -> str:
    r"""Return the lines that were taken out of the draft and put in, as HTML.

    >>> difference("a\nb", "a\nc")
    '<div class="diff"><p>a</p><p><del>b</del></p><p><ins>c</ins></p></div>'
    """
    if draft.strip() == text.strip():
        return '<div class="diff"><p class="none">No change to the draft.</p></div>'
    lines = []
    for line in difflib.ndiff(draft.splitlines(), text.splitlines()):
        mark, words = line[:2], html.escape(line[2:])
        if not words.strip() or mark == "? ":
            continue
        tag = {"- ": "del", "+ ": "ins"}.get(mark)
        lines.append(f"<p><{tag}>{words}</{tag}></p>" if tag else f"<p>{words}</p>")
    return f'<div class="diff">{"".join(lines)}</div>'


def status(session: str, report: Report | None) -> str:
    """Return one line on a session's report, with a link to export it, as HTML."""
    if report is None:
        return '<p class="report-status">No report yet. Ask for one: “Write a report.”</p>'
    link = f'<a href="/reading/sessions/{html.escape(session)}/report.md" download>Export</a>'
    if report.signed_by is None:
        told, kind = f"{DRAFT} · from {html.escape(report.evidence)}", "draft"
    else:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(report.signed_at))
        told, kind = f"Signed by {html.escape(report.signed_by)}, {when}", "signed"
    return f'<p class="report-status {kind}">{told}{link}</p>'
