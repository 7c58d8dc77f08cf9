"""`overread train export`: a run as a folder that can be served, and whether it answers the same."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from overread.imaging.errors import InputError
from overread.ui.options import Json
from overread.ui.terminal import err, out

if TYPE_CHECKING:
    from overread.training.served_check import Check

SHOWN_DIFFERENCES = 5
CALIBRATION = 32
"""Prompts by which AWQ and GPTQ scale weights."""


class Format(StrEnum):
    """How fewer bits are stored."""

    BNB = "bnb"
    AWQ = "awq"
    GPTQ = "gptq"


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run, or of one checkpoint.")],
    to: Annotated[Path, typer.Option("--out", help="New folder for the export.")],
    merge: Annotated[bool, typer.Option("--merge", help="One model; the default.")] = False,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="A LoRA adapter, and its base if that was trained.")
    ] = False,
    ours: Annotated[
        bool, typer.Option("--ours", help="The bundled planner's own tensors.")
    ] = False,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The adapter that the packaged planner is aligned by.")
    ] = False,
    bits: Annotated[
        int | None, typer.Option(help="Quantise merged weights: 8 or 4.", show_default=False)
    ] = None,
    fmt: Annotated[Format, typer.Option("--format", help="Of quantised weights.")] = Format.BNB,
    base: Annotated[
        str | None,
        typer.Option(help="Folder of the trained model, if it was moved.", show_default=False),
    ] = None,
    profile: Annotated[
        str, typer.Option(help="Profile whose settings the exported one takes over.")
    ] = "bundled",
    check: Annotated[
        bool, typer.Option("--check", help="Compare greedy answers with the trained model's.")
    ] = False,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts of the check.")] = 50,
    as_json: Json = False,
) -> None:
    """Export a run: merged, as an adapter, or as the bundled planner's own tensors.

    With --check an export that is there already is checked as it is.
    """
    from overread.agent.profiles import load_profile
    from overread.training.export import HASHES, Kind, Wanted, verify
    from overread.training.export import export as write
    from overread.training.trained import find

    chosen: list[Kind] = []
    chosen += ["merged"] if merge else []
    chosen += ["adapter"] if adapter else []
    chosen += ["ours"] if ours else []
    chosen += ["aligned"] if aligned else []
    if len(chosen) > 1:
        raise InputError("give one of --merge, --adapter, --ours and --aligned, not several")
    trained = find(run, base)
    if not (check and (to / HASHES).is_file()):
        wanted = Wanted((chosen or ["merged"])[0], bits, fmt.value, profile)
        write(trained, to, wanted, lambda folder: calibration(folder, profile))
    facts = verify(to)
    if not as_json:
        out.print(f"exported: {escape(str(to))} ({len(facts['sha256'])} files, {HASHES})")
    if not check:
        if as_json:
            typer.echo(json.dumps(facts))
        return
    from overread.training.served_check import check as compare
    from overread.training.served_check import phantom_prompts

    asked = phantom_prompts(prompts, load_profile(profile))
    with err.status("checking") as status:
        found = compare(trained, to, facts, asked, status.update)
    if as_json:
        typer.echo((to / "check.json").read_text())
    else:
        show(found)
    if not found.agrees:
        raise typer.Exit(1)


def calibration(folder: Path, profile: str) -> list[dict[str, Any]]:
    """Return prompts about phantoms of validation patients, as the processor encodes them."""
    from overread.agent.profiles import load_profile
    from overread.training.greedy import encode
    from overread.training.served_check import phantom_prompts
    from overread.training.trained import load_processor

    processor = load_processor(folder)
    asked = phantom_prompts(CALIBRATION, load_profile(profile), seed=1)
    return [{key: value.tolist() for key, value in encode(processor, one).items()} for one in asked]


def show(found: "Check") -> None:
    """Print what a check found: counts, and where answers part."""
    out.print(f"{found.how}: {found.same} of {found.prompts} answers are the same")
    if found.misread:
        out.print(
            f"{found.misread} prompts were read as other tokens: chat template or picture size "
            "differ, and the answers cannot be compared"
        )
    if not found.differences:
        return
    out.print(
        f"{len(found.differences)} differ, {found.ties} of them from a tie: two tokens no more "
        "than two bfloat16 steps apart"
    )
    for difference in found.differences[:SHOWN_DIFFERENCES]:
        first = difference.first
        kind = "tie" if first.is_tie else "NO TIE"
        here, there = (escape(repr(word)) for word in difference.words)
        out.print(
            f"  prompt {difference.prompt}, token {first.position} ({kind}): "
            f"trained {here} {_pair(first.here_logprobs)}, "
            f"export {there} {_pair(first.there_logprobs)}"
        )


def _pair(logprobs: tuple[float | None, float | None]) -> str:
    """Return the log-probabilities of the trained model's token and of the export's."""
    return " / ".join("not told" if value is None else f"{value:.4f}" for value in logprobs)
