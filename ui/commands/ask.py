"""`overread ask`: one question about one or more images."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from overread.ui.options import BaseUrl, Json, NoStart, Profile, config_from
from overread.ui.terminal import err, out


def ask(
    arguments: Annotated[
        list[str], typer.Argument(metavar="IMAGE... QUESTION", help="The question comes last.")
    ],
    session: Annotated[
        str | None,
        typer.Option(help="Continue this session; a question that was killed goes on in it."),
    ] = None,
    profile: Profile = None,
    base_url: BaseUrl = None,
    no_start: NoStart = False,
    as_json: Json = False,
) -> None:
    """Ask about images; prints the plan as it happens, the answer and its evidence.

    For example:

        overread ask chest.dcm "Is there a pleural effusion, and on which side?"

        overread ask before.png after.png "Has the nodule grown?" --session case-7

        overread ask "How long is it?" --session case-7
    """
    from overread.agent.assistant import Assistant
    from overread.imaging.errors import InputError
    from overread.ui.questioning import put_question

    *images, question = arguments
    if os.path.isfile(question):
        raise InputError(f"{question:.200} is a file; give the question last, after the images")
    config = config_from(profile=profile, base_url=base_url)
    with Assistant.from_config(config) as assistant:
        answer, first = put_question(
            assistant,
            question,
            [Path(image) for image in images],
            session,
            err if as_json else out,
            start=not no_start,
        )
    if as_json:
        shown = answer.model_dump(mode="json") | {"seconds_to_first_event": round(first, 3)}
        typer.echo(json.dumps(shown))
