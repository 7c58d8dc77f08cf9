"""What the report's editor shows: the difference to the draft, the status, the exports."""

import difflib
import html

from overread.ui.rooms import Report

DRAFT = "DRAFT, not signed"
EXPORTS = {"md": "Markdown", "pdf": "PDF", "fhir": "FHIR", "sr": "DICOM SR", "seg": "DICOM SEG"}
MAX_CHARS = 20_000


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
    """Return one line on a session's report, with links to export it, as HTML."""
    if report is None:
        return '<p class="report-status">No report yet. Draft one from the evidence.</p>'
    here = f"/reading/sessions/{html.escape(session)}/report"
    links = "".join(
        f'<a href="{here}/{name}" download>{label}</a>' for name, label in EXPORTS.items()
    )
    if report.signed_by is None:
        told, kind = DRAFT, "draft"
    else:
        told, kind = f"Signed by {html.escape(report.signed_by)}, {report.signed_at}", "signed"
    return f'<p class="report-status {kind}">{told}</p><p class="report-status">Export {links}</p>'
