"""`overread segment`: outline one structure or finding, without the planner."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overread.imaging.errors import InputError
from overread.ui.files import replace_file
from overread.ui.options import Json, config_from
from overread.ui.terminal import RESEARCH_USE, err, out

if TYPE_CHECKING:
    from overread.tools.artifacts import ArtifactStore
    from overread.tools.base import ToolResult


def segment(
    image: Annotated[Path, typer.Argument(help="DICOM, NIfTI, PNG, JPEG or TIFF file.")],
    target: Annotated[str, typer.Argument(help="Such as 'left lung', 'heart' or 'nodule'.")],
    point: Annotated[
        list[str] | None, typer.Option(metavar="ROW,COL", help="A place inside; can be repeated.")
    ] = None,
    box: Annotated[
        str | None, typer.Option(metavar="ROW,COL,ROW,COL", help="First and last row and column.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Folder to copy the masks and overlays to.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Outline a structure or finding: mask, overlay, size and place.

    For example:

        overread segment chest.dcm heart

        overread segment chest.png nodule --point 210,340 --out nodule/
    """
    content, result, store = _segment(image, {"image": 1, "target": target} | _prompts(point, box))
    files = [
        store.path(artifact) if to is None else _copy(store.path(artifact), to, artifact.name)
        for artifact in result.artifacts
    ]
    if as_json:
        shown = result.model_dump(mode="json", exclude={"artifacts"})
        typer.echo(json.dumps({"content": content, "files": [str(file) for file in files]} | shown))
        return
    out.print(content)
    for file in files:
        out.print(str(file), soft_wrap=True)
    err.print(f"[yellow]{RESEARCH_USE}[/]")


def _prompts(points: list[str] | None, box: str | None) -> dict[str, Any]:
    prompts: dict[str, Any] = {}
    if points:
        places = [_numbers("--point", text, 2) for text in points]
        prompts["points"] = [[column, row, 1] for row, column in places]
    if box:
        top, left, bottom, right = _numbers("--box", box, 4)
        prompts["box"] = [left, top, right, bottom]
    return prompts


def _numbers(option: str, text: str, count: int) -> list[int]:
    parts = text.split(",")
    if len(parts) != count or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"{option} takes {count} whole numbers with commas, not '{text}'")
    return [int(part) for part in parts]


def _segment(image: Path, arguments: dict[str, Any]) -> tuple[str, "ToolResult", "ArtifactStore"]:
    """Run the agent's own tool; return what it says, its result, and where its files are."""
    from overread.agent.intake import register
    from overread.agent.resources import Resources
    from overread.tools.segment import build

    resources = Resources(config_from())
    tool = build(resources.tool_context(tuple(register(resources, [image], limit=1))))
    call = {"type": "tool_call", "id": "1", "name": tool.name, "args": arguments}
    reply = tool.invoke(call)
    if reply.status == "error":
        raise InputError(str(reply.content))
    return str(reply.content), reply.artifact, resources.artifacts


def _copy(file: Path, folder: Path, name: str) -> Path:
    return replace_file(folder / f"{name.replace(' ', '-')}{file.suffix}", file.read_bytes())
