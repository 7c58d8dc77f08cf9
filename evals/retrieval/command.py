"""What the command lines of this folder share."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from overread.agent.config import Config
from overread.evals.retrieval.phantom_cases import PhantomCase, phantom_manifest, read_cases
from overread.imaging.errors import OverreadError

CASES_SEED, QUERIES_SEED = 11, 12


def parser(about: str, out: str) -> argparse.ArgumentParser:
    """Return a parser that knows the number of cases, the work folder and where results go."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--cases", type=int, default=1400, help="phantoms in the index")
    made.add_argument("--work", type=Path, default=None, help="where phantoms are kept")
    made.add_argument("--out", type=Path, default=Path(out))
    return made


def work_folder(args: argparse.Namespace, config: Config) -> Path:
    """Return where phantoms are kept: as given, or below the data folder."""
    return args.work or config.data / "evals" / "retrieval"


def queries_and_cases(
    args: argparse.Namespace, config: Config
) -> tuple[list[PhantomCase], list[PhantomCase]]:
    """Return phantoms of test patients that ask, and of training patients that are found."""
    work = work_folder(args, config)
    queries = read_cases(phantom_manifest("test", args.queries, QUERIES_SEED, work))
    return queries, read_cases(phantom_manifest("train", args.cases, CASES_SEED, work))


def run(work: Callable[[], None]) -> int:
    """Do the work; an error of ours is one sentence on stderr. Returns the exit code."""
    try:
        work()
    except OverreadError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0
