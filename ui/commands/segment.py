"""`overread segment`: outline one structure or finding, without the planner."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overread.imaging.errors import InputError
from overread.ui.files import replace_file
from overread.ui.names import file_name
from overread.ui.options import Json, config_from
from overread.ui.terminal import RESEARCH_USE, err, out

if TYPE_CHECKING:
    from overread.agent.resources import Resources
    from overread.imaging.study import ImageRef
    from overread.tools.base import ToolResult

_TITLES = {"overlay": "overlay", "mask": "mask", "plot": "uncertainty"}
"""What a file shows, by the kind of its artifact."""


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
    slice_number: Annotated[
        int | None,
        typer.Option(
            "--slice", min=1, help="Image of a volume or clip, from 1; else its middle one."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Outline a structure or finding in one image: mask, overlay, size and place.

    For example:

        overread segment chest.dcm heart

        overread segment chest.png nodule --point 210,340 --out nodule/

        overread segment abdomen.nii.gz liver --slice 20
    """
    from overread.agent.resources import Resources

    resources = Resources(config_from())
    refs, place = _chosen(resources, image, slice_number)
    content, result = _segment(resources, refs[place], target, _prompts(point, box))
    files = [resources.artifacts.path(artifact) for artifact in result.artifacts]
    if to is not None:
        about = str(result.values["target"])
        files = [
            _copy(file, to, f"{_TITLES[artifact.kind]} of {about}")
            for file, artifact in zip(files, result.artifacts, strict=True)
        ]
    if as_json:
        shown = result.model_dump(mode="json", exclude={"artifacts"})
        told = {"content": content, "files": [str(file) for file in files]} | shown
        typer.echo(json.dumps(told | {"slice": place + 1, "slices": len(refs)}))
        return
    out.print(content, markup=False)
    if len(refs) > 1:
        out.print(f"slice {place + 1} of {len(refs)} alone; --slice chooses another")
    for line in _quality(result):
        out.print(line, markup=False)
    for file in files:
        out.print(str(file), soft_wrap=True, markup=False)
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


def _chosen(
    resources: "Resources", path: Path, number: int | None
) -> tuple[tuple["ImageRef", ...], int]:
    """Return the images of a file's or a folder's series, and which of them is meant, from 0.

    Raises:
        InputError: The series has fewer images than that.
    """
    from overread.agent.intake import register

    (middle,) = register(resources, [path], limit=1)
    refs = resources.archive.series(middle).refs
    if number is None:
        return refs, refs.index(middle)
    if number > len(refs):
        raise InputError(f"there is no slice {number}: {path.name} has {len(refs)}")
    return refs, number - 1


def _segment(
    resources: "Resources", ref: "ImageRef", target: str, prompts: dict[str, Any]
) -> tuple[str, "ToolResult"]:
    """Run the agent's own tool; return what it says, and its result."""
    from overread.tools.segment import build

    tool = build(resources.tool_context((ref,)))
    arguments = {"image": 1, "target": target} | prompts
    reply = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    if reply.status == "error":
        raise InputError(str(reply.content))
    return str(reply.content), reply.artifact


def _quality(result: "ToolResult") -> list[str]:
    """Return what the confidence is one of, and how good the mask is thought to be, in lines."""
    from overread.tools.segment import BASIS, EXPECTED_DICE

    named = (("confidence: ", BASIS), ("expected Dice of the mask: ", EXPECTED_DICE))
    return [f"{name}{result.values[key]}" for name, key in named if key in result.values]


def _copy(file: Path, folder: Path, words: str) -> Path:
    return replace_file(folder / file_name(words, file.suffix), file.read_bytes())
