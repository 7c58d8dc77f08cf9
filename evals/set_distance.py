"""How far two sets of images are apart: Fréchet distances of radiomic features and of embeddings.

    python -m overread.evals.set_distance REAL OTHER
    python -m overread.evals.set_distance REAL OTHER --limit 500 --json

Each is a folder of images that we read. Both distances are squared, as they are usually reported.
Beside them stands what two halves of the first set are apart: a distance near that tells nothing.
The radiomic one follows the FRD (Konz et al., arXiv:2412.01496) with features of our own, see
`evals/radiomics.py`, so its values cannot be compared with published ones.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from overread.agent.config import load_config
from overread.agent.resources import embedder as load_embedder
from overread.evals import radiomics
from overread.evals.metrics.frechet import FEWEST, Distance, Matrix, distance
from overread.imaging.errors import InputError, OverreadError
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import Problem, iterate
from overread.imaging.study import Image
from overread.index.embedder import Embedder
from overread.index.records import picture

FEW = 50
"""Images of a set, from which on a distance is told without a warning."""

_SEED = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of distance: between the sets, and between halves of the first (None if too few)."""

    between: Distance
    within: Distance | None


def images_in(folder: Path, limit: int | None = None) -> Iterator[Image]:
    """Yield the images of a folder, of a series the middle one, in a stable order.

    Raises:
        InputError: There is no such folder, or nothing in it can be read.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    problems: list[Problem] = []
    with TemporaryDirectory() as scratch:
        named = Pseudonymiser(Path(scratch) / "secret")  # the names are of no use afterwards
        found = 0
        for study in iterate([folder], named, problems):
            for series in study.series:
                yield series.images[len(series.images) // 2]
                found += 1
                if found == limit:
                    return


def radiomic(images: list[Image]) -> Matrix:
    """Return the radiomic features of images, (images, features)."""
    return np.stack([radiomics.features(image) for image in images])


def embedded(embedder: Embedder, images: list[Image], batch: int = 16) -> Matrix:
    """Return the vectors of images, (images, dim)."""
    parts = [
        embedder.embed_images([picture(image) for image in images[start : start + batch]])
        for start in range(0, len(images), batch)
    ]
    return np.concatenate(parts).astype(np.float64)


def compare(first: Matrix, second: Matrix, *, scale: bool) -> Compared:
    """Return the distance of two sets of features, and of random halves of the first.

    Raises:
        InputError: A set is too small.
    """
    order = np.random.default_rng(_SEED).permutation(len(first))
    half = len(first) // 2
    within = None
    if half >= FEWEST:
        within = distance(first[order[:half]], first[order[half:]], scale=scale)
    return Compared(distance(first, second, scale=scale), within)


def main() -> int:
    """Parse the command line, measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("first", type=Path, help="folder of images")
    parser.add_argument("second", type=Path, help="folder of other images")
    parser.add_argument("--limit", type=int, help="images taken of each, the first by name")
    parser.add_argument("--embedder", help="as index.embedder of the configuration")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    try:
        sets = [list(images_in(folder, args.limit)) for folder in (args.first, args.second)]
        embedder = load_embedder(args.embedder or load_config().index.embedder)
        kinds: dict[str, tuple[Callable[[list[Image]], Matrix], bool]] = {
            "radiomic": (_shown(radiomic), True),
            "embedding": (lambda images: embedded(embedder, images), False),
        }
        found = {
            name: compare(of(sets[0]), of(sets[1]), scale=scale)
            for name, (of, scale) in kinds.items()
        }
    except OverreadError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    counts = [len(images) for images in sets]
    if min(counts) < FEW:
        sys.stderr.write(
            f"the smaller set has {min(counts)} images; below {FEW} distances are rough\n"
        )
    if args.json:
        told = {name: asdict(item) for name, item in found.items()}
        facts = {"images": counts, "embedder": embedder.name, "distances": told}
        sys.stdout.write(json.dumps(facts, indent=1) + "\n")
    else:
        Console().print(_table(found, counts))
    return 0


def _shown(of: Callable[[list[Image]], Matrix]) -> Callable[[list[Image]], Matrix]:
    def tracked(images: list[Image]) -> Matrix:
        console = Console(stderr=True)
        return np.concatenate(
            [of([image]) for image in track(images, "looking at textures", console=console)]
        )

    return tracked


def _table(found: dict[str, Compared], counts: list[int]) -> Table:
    table = Table("Fréchet distance, squared", "between", "halves of the first", "features")
    for name, item in found.items():
        within = "-" if item.within is None else f"{item.within.squared:.4g}"
        count = f"{item.between.features}"
        if item.between.left_out:
            count += f" ({item.between.left_out} constant ones left out)"
        table.add_row(name, f"{item.between.squared:.4g}", within, count)
    table.caption = f"{counts[0]} and {counts[1]} images"
    return table


if __name__ == "__main__":
    raise SystemExit(main())
