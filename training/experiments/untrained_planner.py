"""Write the bundled planner as it is before any training: the base that the stages are compared with.

    python -m overread.training.experiments.untrained_planner --out runs/base
    overread train export runs/base --out exports/base

Its language model is SmolLM2 as packaged; connector and vision tower have their first, random
weights, and the adapter changes nothing yet.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from overread.agent.architecture import load_tokenizer
from overread.imaging.errors import InputError, OverreadError
from overread.training.planner_parts import build, save_ours


def write(out: Path) -> Path:
    """Write the weights and return their folder, "ours" in `out`.

    Raises:
        InputError: There is something at `out` already.
    """
    if out.exists():
        raise InputError(f"there is something at {out} already; name another folder")
    folder = out / "ours"
    folder.mkdir(parents=True)
    save_ours(build(load_tokenizer()), folder, known=[])
    return folder


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    try:
        folder = write(parser.parse_args().out)
    except OverreadError as error:
        sys.exit(str(error))
    Console().print(f"written: {folder}")


if __name__ == "__main__":
    main()
