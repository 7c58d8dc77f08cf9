"""`overread report`: let the agent examine images and draft a structured report."""

from pathlib import Path
from typing import Annotated

import typer

from overread.imaging.errors import OverreadError
from overread.ui.files import replace_file
from overread.ui.options import BaseUrl, NoStart, Profile, config_from
from overread.ui.terminal import err, out

QUESTION = "Write a report of this image."


def report(
    images: Annotated[list[Path], typer.Argument(help="Files or folders of one patient.")],
    to: Annotated[
        Path | None, typer.Option("--out", help="File to write the report to; else stdout.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="Continue this session.")] = None,
    profile: Profile = None,
    base_url: BaseUrl = None,
    no_start: NoStart = False,
) -> None:
    """Draft a report; every sentence cites the evidence it rests on. The plan goes to stderr.

    For example:

        overread report chest.dcm --out report.md
    """
    from overread.agent.assistant import Assistant
    from overread.ui.questioning import put_question

    config = config_from(profile=profile, base_url=base_url)
    with Assistant.from_config(config) as assistant:
        answer, _ = put_question(assistant, QUESTION, images, session, err, start=not no_start)
        drafts = [
            artifact
            for item in answer.evidence
            for artifact in item.artifacts
            if artifact.kind == "report"
        ]
        if not drafts:
            raise OverreadError(
                "the planner answered without drafting a report; its answer is above"
            )
        text = assistant.resources.artifacts.read(drafts[-1])
    if to is None:
        out.print(text.decode(), markup=False, soft_wrap=True)
    else:
        replace_file(to, text)
        err.print(f"written to {to}")
