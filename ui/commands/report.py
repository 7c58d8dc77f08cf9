"""`overread report`: draft a report of images; edit, sign and export it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from overread.imaging.errors import InputError, OverreadError
from overread.ui.files import replace_file
from overread.ui.options import BaseUrl, NoStart, Profile, config_from
from overread.ui.terminal import err, out

if TYPE_CHECKING:
    from overread.agent.answer import Answer
    from overread.agent.assistant import Assistant
    from overread.tools.reporting.model import StructuredReport

QUESTION = "Write a report of this image."


def report(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders of one patient.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="File to write the report to, or folder of exports."),
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="Continue this session; without images, no planner is asked.")
    ] = None,
    image: Annotated[
        int | None, typer.Option(min=1, help="Number of the image to report, of several.")
    ] = None,
    edit: Annotated[
        bool, typer.Option("--edit", help="Change the draft in your editor (EDITOR).")
    ] = False,
    sign: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sign the report under this name.")
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option(metavar="FORMAT", help="md, json, pdf, fhir, sr or seg; can be repeated."),
    ] = None,
    redraft: Annotated[
        bool, typer.Option("--redraft", help="Draft it anew; edits and signature are lost.")
    ] = False,
    profile: Profile = None,
    base_url: BaseUrl = None,
    no_start: NoStart = False,
) -> None:
    """Draft a report; every sentence cites the evidence it rests on. The plan goes to stderr.

    The report stays with the session: edit, sign and export it there, also later. Until it is
    signed, every export is marked as a draft.

    For example:

        overread report chest.dcm --out report.md

        overread report --session s-1a2b --edit --sign "Dr. A. Reader" --export pdf --export sr
    """
    from overread.agent.assistant import Assistant

    if not images and session is None:
        raise InputError("give an image to report, or --session to go on with a report")
    config = config_from(profile=profile, base_url=base_url)
    with Assistant.from_config(config) as assistant:
        if images:
            found = _ask(assistant, images, session, start=not no_start)
            session = found.session
            if not (edit or sign or export or image or redraft):
                _show(_drafted(assistant, found), to)
                return
        assert session is not None
        report = assistant.reports.draft(session, image, redraft)
        if edit:
            report = _edited(assistant, session, report)
        if sign is not None:
            report = assistant.reports.sign(session, sign)
            err.print(f"signed by {report.signer}", markup=False)
        if export:
            for file in assistant.reports.export(report, export):
                err.print(f"written to {replace_file((to or Path()) / file.name, file.data)}")
        else:
            (text,) = assistant.reports.export(report, ["md"])
            _show(text.data, to)


def _ask(assistant: "Assistant", images: list[Path], session: str | None, start: bool) -> "Answer":
    from overread.ui.questioning import put_question

    return put_question(assistant, QUESTION, images, session, err, start=start)[0]


def _drafted(assistant: "Assistant", answer: "Answer") -> bytes:
    drafts = [
        artifact
        for item in answer.evidence
        for artifact in item.artifacts
        if artifact.kind == "report"
    ]
    if not drafts:
        raise OverreadError("the planner answered without drafting a report; its answer is above")
    return assistant.resources.artifacts.read(drafts[-1])


def _edited(assistant: "Assistant", session: str, report: "StructuredReport") -> "StructuredReport":
    from overread.tools.reporting.markdown import render

    text = click.edit(render(report), extension=".md", require_save=False)
    if text is None:
        return report
    try:
        return assistant.reports.edit(session, text)
    except InputError as error:
        kept = replace_file(Path(f"refused-{session}.md"), text.encode())
        raise InputError(f"{error}; what you wrote is kept in {kept}") from error


def _show(text: bytes, to: Path | None) -> None:
    if to is None:
        out.print(text.decode(), markup=False, soft_wrap=True)
    else:
        err.print(f"written to {replace_file(to, text)}")
