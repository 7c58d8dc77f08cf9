"""How long the bundled segmenter takes to answer a click.

    python -m overread.evals.bench.clicks --clicks 100

One held-out phantom of each domain, 512 x 512, in turn; ten clicks on each, the first of which computes
the image's features. From the prompt to the mask as PNG bytes, in this process, on one thread: what
the reading room does between request and reply.
"""

import argparse
import json
import time
from itertools import cycle, islice

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from overread.imaging.phantoms import DOMAINS, generate, split_of
from overread.imaging.phantoms.truth import Phantom
from overread.imaging.study import Image, ImageRef
from overread.tools.bundled_segmenter import BundledSegmenter
from overread.tools.clicks import Prompts, answer, mask_png

SIZE, ON_EACH = 512, 10


def phantom_of(domain: str) -> Phantom:
    """Return a phantom of the test split."""
    patient = next(
        number for number in range(1000) if split_of(f"ph-{domain}-{number:05d}") == "test"
    )
    return generate(domain, patient, size=SIZE)


def time_clicks(clicks: int, seed: int = 0) -> tuple[list[float], list[float]]:
    """Return milliseconds of first clicks on an image, and of the others."""
    segmenter, rng = BundledSegmenter(), np.random.default_rng(seed)
    first: list[float] = []
    later: list[float] = []
    phantoms = [phantom_of(domain) for domain in DOMAINS]
    for phantom in islice(cycle(phantoms), -(-clicks // ON_EACH)):
        ref = ImageRef(phantom.study_id, "s0", "i0")
        image = Image(ref, phantom.pixels.copy(), phantom.modality, phantom.spacing_mm)
        points: list[tuple[int, int, bool]] = []
        for number in range(min(ON_EACH, clicks - len(first) - len(later))):
            y, x = (int(rng.integers(0, side)) for side in image.shape)
            points.append((x, y, number % 3 != 2))
            began = time.perf_counter()
            mask_png(answer(segmenter, image, Prompts(points=tuple(points))).mask)
            (later if number else first).append(1000 * (time.perf_counter() - began))
    return first, later


def main() -> None:
    """Print p50, p95 and the worst."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    if asked.clicks < 1:
        parser.error("--clicks must be positive")
    torch.set_num_threads(1)
    first, later = time_clicks(asked.clicks)
    rows = {"first click on an image": first, "later clicks": later, "all": first + later}
    told = {
        name: {
            "clicks": len(times),
            "p50_ms": round(float(np.percentile(times, 50)), 1),
            "p95_ms": round(float(np.percentile(times, 95)), 1),
            "max_ms": round(max(times), 1),
        }
        for name, times in rows.items()
        if times
    }
    console = Console()
    if asked.json:
        console.print_json(json.dumps(told))
        return
    table = Table("", "clicks", "p50 ms", "p95 ms", "max ms", title="bundled segmenter, 512 x 512")
    for name, row in told.items():
        table.add_row(name, *(str(value) for value in row.values()))
    console.print(table)


if __name__ == "__main__":
    main()
