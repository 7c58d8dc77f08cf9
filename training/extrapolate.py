"""Go on in the direction that a run took: weights = before + by · (after - before).

    python -m overread.training.extrapolate runs/dpo --start runs/sft --by 2 --out runs/dpo-x2

A preference run is short and held near its reference, so that its direction is better than its length;
going further along it costs no training. Nothing says how far is right: measure some lengths on
validation patients.

Of a LoRA adapter the two factors are extrapolated, which is the extrapolated product but for a term
of second order in what the run changed.

Source: Zheng et al., Model extrapolation expedites alignment, arXiv:2404.16792.
"""

import argparse
import shutil
import sys
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import save_file

from overread.agent.bundled import OURS, our_tensors
from overread.evals.contamination import MANIFEST
from overread.imaging.errors import InputError, OverreadError
from overread.imaging.files import ORDINARY, write_whole
from overread.training.trained import find

MAX = 8.0


def extrapolated(
    before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], by: float
) -> dict[str, torch.Tensor]:
    """Return before + by · (after - before), in the types of `after`; 1 gives `after`.

    Raises:
        InputError: The tensors are not of one model.
    """
    if before.keys() != after.keys() or any(
        before[name].shape != tensor.shape for name, tensor in after.items()
    ):
        raise InputError("the weights before and after are not of one model and one adapter rank")
    return {
        name: (
            before[name].float() + by * (tensor.float() - before[name].float())
        ).to(tensor.dtype).contiguous()
        for name, tensor in after.items()
    }  # fmt: skip


def write(run: Path, start: Path, by: float, out: Path) -> Path:
    """Write the bundled planner's own tensors, extrapolated, as a run that others may start from.

    Args:
        run: Of the bundled planner, finished.
        start: What it started from: a run, or a folder of weights.
        by: How far, 1 is the run itself; above 0 and up to `MAX`.
        out: A folder that does not exist yet.

    Raises:
        InputError: There are no such weights, or the folder is taken.
    """
    if not 0 < by <= MAX:
        raise InputError(f"--by {by:g} is not above 0 and up to {MAX:g}")
    if out.exists():
        raise InputError(f"{out} is there already; choose another folder with --out")
    first, last = find(start), find(run)
    if (first.kind, last.kind) != ("ours", "ours"):
        raise InputError("only runs of the bundled planner are extrapolated")
    made = extrapolated(our_tensors(first.folder), our_tensors(last.folder), by)
    folder = out / "ours"
    folder.mkdir(parents=True)
    save_file(made, folder / OURS)
    for manifest in last.manifests()[:1]:
        shutil.copy(manifest, folder / MANIFEST)
        shutil.copy(manifest, out / MANIFEST)
    told = (
        f"# {out.name}: {run.name}, {by:g} times as far from {start.name}\n\n"
        "**Research prototype, not a medical device. Not for diagnosis or treatment.**\n\n"
        f"`python -m overread.training.extrapolate {run} --start {start} --by {by:g} --out {out}`\n\n"
        "What the run learnt from is in `training-manifest.txt` and in its own card.\n"
    )
    card = run / "README.md"
    if card.is_file():
        told += f"\nThe run's card follows.\n\n{card.read_text('utf-8')}"
    write_whole(out / "README.md", told, mode=ORDINARY)
    return out


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="What the run started from.")
    parser.add_argument("--by", type=float, default=2.0, help="1 is the run itself.")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        out = write(args.run, args.start, args.by, args.out)
    except OverreadError as error:
        sys.exit(str(error))
    Console().print(f"written: {out}")


if __name__ == "__main__":
    main()
