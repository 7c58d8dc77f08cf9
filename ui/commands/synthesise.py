"""`overread synthesise`: make up pictures for teaching, without the planner."""

import json
from pathlib import Path
from typing import Annotated

import typer

from overread.imaging.errors import InputError
from overread.ui.files import replace_file
from overread.ui.options import Json, config_from
from overread.ui.terminal import RESEARCH_USE, err, out


def synthesise(
    what: Annotated[str, typer.Argument(help="Such as 'chest X-ray with effusion'.")],
    count: Annotated[int, typer.Option(min=1, max=8, help="How many.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the first; the others count on.")] = 0,
    to: Annotated[
        Path | None, typer.Option("--out", help="Folder to write the pictures to.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make up pictures for teaching. Off until synthesis.enabled is set; always marked as synthetic.

    For example:

        OVERREAD_SYNTHESIS__ENABLED=true overread synthesise "brain MR with lesion" --out made/
    """
    from overread.agent.resources import Resources
    from overread.tools.synthesise import build

    resources = Resources(config_from())
    tool = build(resources.tool_context(()))
    arguments = {"what": what, "count": count, "seed": seed}
    reply = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    if reply.status == "error":
        raise InputError(str(reply.content))
    files = [resources.artifacts.path(artifact) for artifact in reply.artifact.artifacts]
    if to is not None:
        files = [
            replace_file(to / f"synthetic-{seed + n}.png", file.read_bytes())
            for n, file in enumerate(files)
        ]
    if as_json:
        told = {"content": reply.content, "files": [str(file) for file in files]}
        typer.echo(json.dumps(told | {"values": reply.artifact.values}))
        return
    out.print(str(reply.content), markup=False)
    for file in files:
        out.print(str(file), soft_wrap=True, markup=False)
    err.print(f"[yellow]{RESEARCH_USE}[/]")
