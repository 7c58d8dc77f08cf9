"""`overread train pairs`: build preference pairs by running a model, and report on them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from overread.ui.options import Json, NoStart
from overread.ui.terminal import out

if TYPE_CHECKING:
    from overread.training.pairs import Built

STEPS = 1000
"""Of the noise; as `overread.training.noise.STEPS`, whose import takes time."""


def pairs(
    mix: Annotated[str, typer.Option(help="Questions: a mix, by its name or YAML file.")],
    model: Annotated[
        str,
        typer.Option(
            help="The model to run: a planner profile, URL#MODEL of an OpenAI-compatible endpoint, "
            "or local:FOLDER (a transformers model or a training run)."
        ),
    ] = "bundled",
    to: Annotated[Path, typer.Option("--out", help="JSON-lines file of the pairs.")] = Path(
        "runs/pairs/pairs.jsonl"
    ),
    feedback: Annotated[
        Path | None,
        typer.Option(help="Users' corrections with consent, JSON lines.", show_default=False),
    ] = None,
    reports: Annotated[
        int,
        typer.Option(
            min=0, help="Training patients whose reports are retrieved; 0: 'look' pairs alone."
        ),
    ] = 700,
    noise_step: Annotated[
        int, typer.Option(min=0, max=STEPS - 1, help="How much noise hides the image.")
    ] = STEPS - 1,
    seed: Annotated[int, typer.Option(help="Of the noise, and of the sample to audit.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions at the same time.")] = 8,
    no_start: NoStart = False,
    as_json: Json = False,
) -> None:
    """Build preference pairs for 'train dpo' by running a model; the same command goes on after a kill.

    Beside the pairs lies a report in HTML: counts, balance, and a sample to audit before training.
    """
    from overread.agent.config import load_config
    from overread.agent.serving import ensure_server
    from overread.index.embedder import load_embedder
    from overread.training import mixes
    from overread.training.asking import make_asker, shown
    from overread.training.corrections import Corrections, read_corrections
    from overread.training.examples import Pair, read_lines
    from overread.training.pair_context import open_pool
    from overread.training.pairs import Settings, build_pairs
    from overread.training.pairs_report import balance, write_report

    config = load_config()
    corrections = read_corrections(feedback) if feedback else Corrections((), {})
    resolved = mixes.resolve(mix)
    pool = None
    if reports:
        embedder = load_embedder(config.index.embedder)
        pool = open_pool(config.data / "training" / "reports", embedder, reports)
    asker = make_asker(model, config, None if no_start else ensure_server)
    with shown("questions") as progress:
        built = build_pairs(
            [*resolved.train, *resolved.validation],
            asker,
            pool,
            to,
            Settings(noise_step, seed, concurrency),
            corrections.pairs,
            progress,
        )
    facts = [
        ("model", asker.name),
        ("mix", resolved.name),
        ("noise", f"step {noise_step} of {STEPS}, seed {seed}"),
        ("reports of", f"{reports} training patients" if pool else "none"),
        *_counts(built, corrections.left_out),
    ]
    report: Path | None = None
    warnings: tuple[str, ...] = ()
    if built.pairs:
        made = list(read_lines(to, Pair))
        report = write_report(made, to.with_suffix(".html"), to.stem, facts, seed)
        warnings = balance(made).warnings
    if as_json:
        told = asdict(built) | {"left_out": corrections.left_out, "warnings": warnings}
        out.print_json(json.dumps(told | {"report": report}, default=str))
        return
    out.print(escape(f"{built.pairs} pairs in {to}"))
    for name, count in (*built.kinds.items(), *_counts(built, corrections.left_out)):
        out.print(escape(f"  {name}: {count}"))
    for warning in warnings:
        out.print(f"[yellow]  {escape(warning)}[/]")
    if report is not None:
        out.print(escape(f"Read the sample before training: {report}"))


def _counts(built: "Built", left_out: dict[str, int]) -> list[tuple[str, str]]:
    return [
        ("duplicates left out", str(built.duplicates)),
        ("questions that nothing marks", str(built.skipped)),
        *((f"feedback left out, {why}", str(number)) for why, number in sorted(left_out.items())),
        *((name, str(number)) for name, number in built.outcomes.items()),
    ]
