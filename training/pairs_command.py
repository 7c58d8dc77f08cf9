"""`overread train pairs`: build preference pairs by running a model, and report on them.

    overread train pairs --model bundled --mix pairs-bundled --out runs/pairs/pairs.jsonl

Beside the pairs: `pairs.html`, a report with a sample to audit, and the journal by which the same
command goes on after a kill.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from overread.agent.config import load_config
from overread.agent.serving import ensure_server
from overread.imaging.errors import OverreadError
from overread.training.examples import Pair, read_lines
from overread.training.noise import STEPS


def main(arguments: Sequence[str]) -> None:
    """Read the command line, build, and print what came out."""
    args = _parse(arguments)
    from overread.index.embedder import load_embedder
    from overread.training import mixes
    from overread.training.asking import make_asker
    from overread.training.corrections import Corrections, read_corrections
    from overread.training.pair_context import open_pool
    from overread.training.pairs import Settings, build_pairs
    from overread.training.pairs_report import balance, write_report

    config = load_config()
    corrections = read_corrections(args.feedback) if args.feedback else Corrections((), {})
    mix = mixes.resolve(args.mix)
    pool = None
    if args.reports:
        embedder = load_embedder(config.index.embedder)
        pool = open_pool(config.data / "training" / "reports", embedder, args.reports)
    asker = make_asker(args.model, config, None if args.no_start else ensure_server)
    err = Console(stderr=True)
    with _bar(err) as bar:
        task = bar.add_task("pairs", total=None)
        built = build_pairs(
            [*mix.train, *mix.validation],
            asker,
            pool,
            args.out,
            Settings(args.noise_step, args.seed, args.concurrency),
            corrections.pairs,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    facts = [
        ("model", asker.name),
        ("mix", mix.name),
        ("noise", f"step {args.noise_step} of {STEPS}, seed {args.seed}"),
        ("reports of", f"{args.reports} training patients" if pool else "none"),
        ("duplicates left out", str(built.duplicates)),
        ("examples that nothing marks", str(built.skipped)),
        *((f"feedback: {why}", str(n)) for why, n in sorted(corrections.left_out.items())),
        *((name, str(count)) for name, count in built.outcomes.items()),
    ]
    out = Console()
    out.print(f"{built.pairs} pairs in {args.out}")
    for kind, count in built.kinds.items():
        out.print(f"  {kind} {count}")
    for name, count in facts[4:]:
        out.print(f"  {name}: {count}")
    if built.pairs:
        pairs = list(read_lines(args.out, Pair))
        report = write_report(pairs, args.out.with_suffix(".html"), args.out.stem, facts, args.seed)
        for warning in balance(pairs).warnings:
            out.print(f"  warning: {warning}")
        out.print(f"read the sample before training: {report}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="overread train pairs", description=__doc__)
    parser.add_argument(
        "--model", default="bundled",
        help="A planner profile, URL#MODEL of any OpenAI-compatible endpoint, or local:FOLDER.",
    )  # fmt: skip
    parser.add_argument("--mix", required=True, help="Questions: a mix, by name or file.")
    parser.add_argument("--out", type=Path, default=Path("runs/pairs/pairs.jsonl"))
    parser.add_argument("--feedback", type=Path, help="Users' corrections, JSON lines.")
    parser.add_argument(
        "--reports", type=int, default=700,
        help="Training patients whose reports are retrieved; 0 makes 'look' pairs alone.",
    )  # fmt: skip
    parser.add_argument("--noise-step", type=int, default=STEPS - 1, help="0 to 999.")
    parser.add_argument("--seed", type=int, default=0, help="Of noise and sample.")
    parser.add_argument("--concurrency", type=int, default=8, help="Examples at the same time.")
    parser.add_argument("--no-start", action="store_true", help="The server runs already.")
    args = parser.parse_args(list(arguments))
    if not 0 <= args.noise_step < STEPS:
        parser.error(f"--noise-step must be 0 to {STEPS - 1}, got {args.noise_step}")
    if args.concurrency < 1 or args.reports < 0:
        parser.error("--concurrency must be 1 or more and --reports 0 or more")
    return args


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OverreadError as error:
        sys.stderr.write(f"overread: {error}\n")
        sys.exit(error.exit_code)
