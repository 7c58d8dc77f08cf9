"""A structured report as Markdown, and back: what a reader edits."""

import re
from datetime import UTC

from pydantic import ValidationError

from overread.imaging.errors import InputError
from overread.tools import report_text
from overread.tools.fence import clean
from overread.tools.reporting.model import SYNTHETIC, Region, Statement, StructuredReport

SECTIONS = ("Technique", "Comparison", "Findings", "Impression")
_NOT_ASSESSED = "Not assessed"
_EVIDENCE = "Evidence"
_CITATION = re.compile(r"\s*\[(E[1-9][0-9]*)\]")
_MAX_CHARS = 2000
"""Of a sentence; what `Statement` takes."""
_BULLET = re.compile(r"^(?:[-*]|[0-9]+\.)\s+")


def banner(report: StructuredReport) -> str:
    """Return the line that says how far a report can be relied on."""
    if report.signed_at is None:
        return report_text.BANNER.removeprefix("> ")
    when = report.signed_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"**Signed by {report.signer}, {when}.** Research use only, not a medical device."


def render(report: StructuredReport) -> str:
    """Return the report as Markdown; a draft says so in its title and below it."""
    lines = [f"# {report.title}{'' if report.is_signed else ' - DRAFT'}", ""]
    if report.synthetic:
        lines += [f"> **{SYNTHETIC}**", ">"]
    lines += [f"> {banner(report)}", "", f"Image `{report.image}`", ""]
    lines += ["## Technique", "", *_bullets(report.technique), ""]
    lines += ["## Comparison", "", *_bullets(report.comparison), ""]
    lines += ["## Findings", ""]
    for region in report.findings:
        own = _bullets(region.statements) or [f"{_NOT_ASSESSED}."]
        lines += [f"### {region.name}", "", *own, ""]
    if report.not_assessed:
        lines += [f"### {_NOT_ASSESSED}", "", *(f"- {name}" for name in report.not_assessed), ""]
    lines += ["## Impression", ""]
    lines += [f"{number}. {item}" for number, item in enumerate(report.impression, start=1)]
    if report.evidence:
        lines += ["", f"## {_EVIDENCE}", ""]
        lines += [
            f"- {e.id} {e.tool} ({e.version}): {_one_line(e.content)}" for e in report.evidence
        ]
    return "\n".join(lines).rstrip() + "\n"


def parse(text: str, base: StructuredReport) -> StructuredReport:
    """Return a draft with the sentences of an edited text.

    A sentence that is in the draft with the same citations keeps its origin; any other is the
    reader's own. The list of evidence and what stands above the sections are not read.

    Args:
        text: As `render` writes it, edited.
        base: The draft that was edited.

    Raises:
        InputError: The draft is signed, a section is unknown or missing, there is no impression,
            or a sentence is too long or cites evidence that is not there.
    """
    if base.is_signed:
        raise InputError(f"the report was signed by {base.signer}; draft it again to change it")
    before = {str(statement): statement for statement in base.statements()}
    found: dict[str, list[Statement]] = {name: [] for name in SECTIONS}
    regions: dict[str, list[Statement]] = {}
    not_assessed: list[str] = []
    seen: set[str] = set()
    section = region = ""
    for number, line in enumerate(clean(text).splitlines(), start=1):
        line = line.strip()
        if line.startswith("### ") and section == "Findings":
            region = line[4:].strip()
            if region != _NOT_ASSESSED:
                regions.setdefault(region, [])
        elif line.startswith("## "):
            section, region = line[3:].strip(), ""
            if section not in (*SECTIONS, _EVIDENCE):
                raise InputError(
                    f"'{section:.40}' is no section of a report; there are {', '.join(SECTIONS)}"
                )
            seen.add(section)
        elif not line or section in ("", _EVIDENCE) or line == f"{_NOT_ASSESSED}.":
            continue
        elif region == _NOT_ASSESSED:
            not_assessed.append(_BULLET.sub("", line))
        else:
            where = f"in line {number}, under '{region or section:.60}',"
            statement = _statement(_BULLET.sub("", line), before, where)
            if section == "Findings":
                regions.setdefault(region or "Other", []).append(statement)
            else:
                found[section].append(statement)
    if missing := [name for name in SECTIONS if name not in seen]:
        raise InputError(f"the edited report lacks the section '## {missing[0]}'")
    if not found["Impression"]:
        raise InputError("the edited report has no impression; write at least one sentence")
    changes = {
        "technique": found["Technique"],
        "comparison": found["Comparison"],
        "findings": [Region(name=name, statements=tuple(told)) for name, told in regions.items()],
        "not_assessed": not_assessed,
        "impression": found["Impression"],
    }
    try:
        return StructuredReport.model_validate({**dict(base), **changes})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"the edited report cannot be used: {reason}") from error


def _statement(line: str, before: dict[str, Statement], where: str) -> Statement:
    cited = tuple(dict.fromkeys(_CITATION.findall(line)))
    text = " ".join(_CITATION.sub("", line).split())
    if len(text) > _MAX_CHARS:
        raise InputError(
            f"the sentence {where} has {len(text):,} characters; at most {_MAX_CHARS:,} are allowed, "
            "so put it into several lines"
        )
    own = Statement(text=text or "(empty)", evidence=cited, origin="reader")
    return before.get(str(own), own)


def _bullets(statements: tuple[Statement, ...]) -> list[str]:
    return [f"- {statement}" for statement in statements]


def _one_line(text: str) -> str:
    return " ".join(text.split())
