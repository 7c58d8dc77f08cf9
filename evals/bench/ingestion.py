"""Images per second of filling an index, against the bare embedders on the same cores.

    python -m overread.evals.bench.ingestion --studies 2000 --rounds 3

Phantoms are drawn to files first. Each round then measures, the order alternating,

- the bare embedders: pictures already rendered, in batches, by one process with a thread for each
  core; once the images alone, once with the reports of their studies, as filling an index needs;
- filling a new index from the files: read, de-identify, archive, render, hash, embed images and
  reports, look for duplicates, write to Chroma; the start of its processes included.

The ratios are ours over the bare embedders', in the same round.
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from PIL import Image as PILImage
from rich.console import Console

from overread.imaging.archive import Archive
from overread.imaging.phantoms.many import write_many
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import iterate
from overread.index.embedder import load_embedder
from overread.index.ingest import Plan, build_index, default_workers
from overread.index.manifest import ManifestRow, read_manifest
from overread.index.records import picture
from overread.index.store import CaseIndex
from overread.index.towers import Towers
from overread.index.work import BATCH

_BARE = 512


@dataclass(frozen=True)
class Ready:
    """Pictures already rendered, and the reports of their studies."""

    pictures: list[PILImage.Image]
    reports: list[str]


def rendered(manifest: Path, count: int, pseudonymiser: Pseudonymiser) -> Ready:
    """Read and render the first images of a manifest."""
    rows = [row for row in read_manifest(manifest)[:count] if isinstance(row, ManifestRow)]
    pictures = [
        picture(study.images[0]) for row in rows for study in iterate([row.path], pseudonymiser, [])
    ]
    return Ready(pictures, [row.report for row in rows])


def bare(ready: Ready, towers: Towers, with_texts: bool) -> float:
    """Embed what is ready; return images per second."""
    began = time.perf_counter()
    for start in range(0, len(ready.pictures), BATCH):
        towers.default.embed_images(ready.pictures[start : start + BATCH])
        if with_texts:
            towers.texts("").embed_texts(ready.reports[start : start + BATCH])
    return len(ready.pictures) / (time.perf_counter() - began)


def ours(manifest: Path, plan: Plan, passages: Literal["sentences", "tower"]) -> float:
    """Fill a new index; return images per second."""
    with tempfile.TemporaryDirectory(dir=manifest.parent) as folder:
        root = Path(folder)
        embedder = load_embedder("bundled")
        index = CaseIndex.open(root / "index", embedder, create=True, passages=passages)
        index.towers()
        archive, pseudonymiser = Archive(root / "archive"), Pseudonymiser(root / "secret")
        began = time.perf_counter()
        summary = build_index(manifest, index, archive, pseudonymiser, plan=plan)
        return summary.images / (time.perf_counter() - began)


def main() -> int:
    """Parse the command line, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--passages", choices=["sentences", "tower"], default="sentences")
    parser.add_argument("--phantoms", type=Path, help="Folder to draw to, and to keep.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = args.phantoms or Path(folder)
        for _ in write_many("train", args.studies, 0, home):
            pass
        compare(home / "manifest.jsonl", args)
    return 0


def compare(manifest: Path, args: argparse.Namespace) -> None:
    """Measure and print."""
    console = Console()
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    pseudonymiser = Pseudonymiser(manifest.parent / "secret")
    with tempfile.TemporaryDirectory() as folder:
        embedder = load_embedder("bundled")
        index = CaseIndex.open(Path(folder), embedder, create=True, passages=args.passages)
        towers = index.towers()
    ready = rendered(manifest, _BARE, pseudonymiser)
    bare(Ready(ready.pictures[:BATCH], ready.reports[:BATCH]), towers, True)  # warm
    plan = Plan(workers=args.workers)
    images, both = [], []
    for number in range(args.rounds):
        figures: dict[str, float] = {}
        names = ["images", "both", "ours"]
        for name in names if number % 2 == 0 else reversed(names):
            if name == "ours":
                figures[name] = ours(manifest, plan, args.passages)
            else:
                figures[name] = bare(ready, towers, name == "both")
        images.append(figures["ours"] / figures["images"])
        both.append(figures["ours"] / figures["both"])
        console.print(
            f"round {number + 1}: ours {figures['ours']:.1f}/s with {args.workers} processes; "
            f"bare with {threads} threads: images {figures['images']:.1f}/s, images and reports "
            f"{figures['both']:.1f}/s; ratios {images[-1]:.3f} and {both[-1]:.3f}"
        )
    console.print(
        f"median ratio over {args.rounds} rounds: {statistics.median(both):.3f} of the bare "
        f"embedders (images and reports), {statistics.median(images):.3f} of images alone"
    )


if __name__ == "__main__":
    raise SystemExit(main())
