"""A matrix product in bfloat16 beside float32 on this CPU, and which of them a planner is served in.

    python -m overread.evals.bench.cpu_precision

Of the size of the bundled planner's layers, for one token, for a batch that decodes, and for a prompt.
"""

import argparse
import statistics
import time

import torch
from rich.console import Console
from torch.nn.functional import linear

from overread.agent.precision import multiplies_bfloat16

WIDTH, INNER = 576, 1536
ROWS = (1, 32, 512)


def seconds(rows: int, dtype: torch.dtype, rounds: int) -> float:
    """Return the median time of a product of (rows, WIDTH) by (WIDTH, INNER)."""
    weight, tokens = torch.randn(INNER, WIDTH, dtype=dtype), torch.randn(rows, WIDTH, dtype=dtype)
    times = []
    for _ in range(rounds + 3):
        began = time.perf_counter()
        linear(tokens, weight)
        times.append(time.perf_counter() - began)
    return statistics.median(times[3:])


def main() -> None:
    """Parse the command line, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    console = Console()
    for rows in ROWS:
        narrow, wide = (seconds(rows, dtype, rounds) for dtype in (torch.bfloat16, torch.float32))
        console.print(f"{rows:4} rows: bfloat16 takes {narrow / wide:.2f} of the time of float32")
    told = "bfloat16" if multiplies_bfloat16() else "float32"
    console.print(f"A profile that asks for bfloat16 is served in {told} here.")


if __name__ == "__main__":
    main()
