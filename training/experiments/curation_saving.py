"""How many samples the same accuracy needs, chosen by curation and chosen at random.

    python -m overread.training.experiments.curation_saving --out runs/curation.json

A collection as hospitals have them is imitated: phantoms of the seven domains in shares that halve
from domain to domain, and every eighth image filed twice. The learner is cheap and the same for both
ways: a linear classifier of the domain and of each finding on the bundled embedder's features. It is
measured on validation patients, all domains and findings counting alike.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms import DOMAINS, generate, split_of
from overread.imaging.phantoms.truth import Split
from overread.imaging.vocabulary import FINDINGS
from overread.index.embedder import Vectors, load_embedder
from overread.training.curation import Curation, informative, near_duplicates, perceptual_hash
from overread.training.examples import PhantomRef, open_image

SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
_BATCH = 32
_EIGHTH = 8

Labels = NDArray[np.float64]


def collection(number: int) -> list[PhantomRef]:
    """Return training phantoms, each domain half as often as the one before, some twice."""
    refs: list[PhantomRef] = []
    for place, domain in enumerate(DOMAINS):
        wanted = max(4, round(number / 2 ** (place + 1)))
        refs += _patients(domain, "train", wanted)
    return [one for n, ref in enumerate(refs) for one in [ref] * (1 + (n % _EIGHTH == 0))]


def held_out(per_domain: int) -> list[PhantomRef]:
    """Return validation phantoms, all domains alike."""
    return [ref for domain in DOMAINS for ref in _patients(domain, "validation", per_domain)]


def features(refs: Sequence[PhantomRef]) -> tuple[Vectors, NDArray[np.uint64], Labels]:
    """Return embeddings (n, dim), perceptual hashes (n,), and labels (n, domains + findings)."""
    embedder = load_embedder("bundled")
    vectors, hashes, labels = [], [], []
    for start in track(range(0, len(refs), _BATCH), "features", console=Console(stderr=True)):
        part = refs[start : start + _BATCH]
        pictures = [open_image(ref) for ref in part]
        vectors.append(embedder.embed_images(pictures))
        hashes += [perceptual_hash(picture) for picture in pictures]
        labels += [_labels(ref) for ref in part]
    return np.concatenate(vectors), np.array(hashes, np.uint64), np.array(labels)


def score(train: Vectors, labels: Labels, test: Vectors, truth: Labels) -> float:
    """Return the mean balanced accuracy over domains and findings, 0..1.

    A ridge regression on plus and minus one, classes weighted alike; its sign decides.

    Args:
        train: Of the samples learnt from, (n, dim).
        labels: Of these, (n, classes), 0 or 1.
        test: Of others, (m, dim).
        truth: Of these, (m, classes).
    """
    from sklearn.linear_model import RidgeClassifier

    accuracies = []
    for column in range(truth.shape[1]):
        known, asked = labels[:, column], truth[:, column]
        if asked.min() == asked.max():
            continue
        if known.min() == known.max():
            guessed = np.full(len(asked), known[0])
        else:
            learner = RidgeClassifier(alpha=1.0, class_weight="balanced")
            guessed = learner.fit(train, known).predict(test)
        right = [(guessed[asked == side] == side).mean() for side in (0, 1)]
        accuracies.append(float(np.mean(right)))
    return float(np.mean(accuracies))


def measure(number: int, per_domain: int, seeds: int) -> list[dict[str, float]]:
    """Return a row for each share: mean accuracy chosen by curation, and at random.

    Both choose from the whole collection, with its duplicates; a share is of the whole.
    """
    vectors, hashes, labels = features(collection(number))
    test, _, truth = features(held_out(per_domain))
    told = Curation()
    first = near_duplicates(hashes, vectors, told.hash_bits, told.similarity)
    distinct = np.array(sorted(set(first)))
    rows = []
    for share in SHARES:
        wanted = round(share * len(vectors))
        curated, drawn = [], []
        for seed in range(seeds):
            places = informative(vectors[distinct], wanted, told.prototypes, seed)
            chosen = distinct[places]
            curated.append(score(vectors[chosen], labels[chosen], test, truth))
            taken = np.random.default_rng(seed).permutation(len(vectors))[:wanted]
            drawn.append(score(vectors[taken], labels[taken], test, truth))
        rows.append(
            {
                "share": share,
                "samples": wanted,
                "curated": float(np.mean(curated)),
                "curated_sd": float(np.std(curated)),
                "random": float(np.mean(drawn)),
                "random_sd": float(np.std(drawn)),
            }
        )
    return rows


def needed(rows: Sequence[dict[str, float]], way: str, accuracy: float) -> float | None:
    """Return the share at which a way reaches an accuracy, between two rows linearly.

    >>> rows = [{"share": 0.1, "x": 0.5}, {"share": 0.3, "x": 0.7}]
    >>> round(needed(rows, "x", 0.6), 3)
    0.2
    """
    before: dict[str, float] | None = None
    for row in rows:
        if row[way] >= accuracy:
            if before is None:
                return row["share"]
            step = (accuracy - before[way]) / (row[way] - before[way])
            return before["share"] + step * (row["share"] - before["share"])
        before = row
    return None


def _patients(domain: str, split: Split, number: int) -> list[PhantomRef]:
    found: list[PhantomRef] = []
    patient = 0
    while len(found) < number:
        ref = PhantomRef(domain=domain, patient=patient)
        if split_of(ref.patient_id) == split:
            found.append(ref)
        patient += 1
    return found


def _labels(ref: PhantomRef) -> list[float]:
    present = {finding.name for finding in generate(ref.domain, ref.patient).findings}
    return [float(ref.domain == name) for name in DOMAINS] + [
        float(name in present) for name in FINDINGS
    ]


def main() -> None:
    """Measure, print the table and the saving, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=800)
    parser.add_argument("--per-domain", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/curation.json"))
    args = parser.parse_args()
    rows = measure(args.number, args.per_domain, args.seeds)
    table = Table("share", "samples", "curated", "random")
    for row in rows:
        table.add_row(
            f"{row['share']:.0%}",
            str(row["samples"]),
            f"{row['curated']:.4f} ± {row['curated_sd']:.4f}",
            f"{row['random']:.4f} ± {row['random_sd']:.4f}",
        )
    console = Console()
    console.print(table)
    whole = rows[-1]["random"]
    share = needed(rows, "curated", whole)
    at_random = needed(rows, "random", 0.99 * whole)
    curated = needed(rows, "curated", 0.99 * whole)
    console.print(f"all samples reach {whole:.4f}; curation reaches that with a share of {share}")
    console.print(f"99 % of it: curated {curated}, at random {at_random}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(args.out, json.dumps(rows, indent=1) + "\n", mode=ORDINARY)


if __name__ == "__main__":
    main()
