"""How well words alone lead to a mask: presence, pointing and Dice, on phantoms of test patients.

    python -m overread.evals.bench.text_masks --phantoms 70

The bundled network knows these names; here it is not told them, so that they stand for words that a
segmenter does not know. `--segmenter FOLDER` puts another promptable segmenter behind the words.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console

from overread.evals.metrics.segmentation import dice
from overread.evals.statistics.bootstrap import mean_interval
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import sample
from overread.index.embedder import load_embedder
from overread.tools.segmenters import BUNDLED, load_segmenter
from overread.tools.text_segmenter import TextSegmenter


@dataclass(frozen=True, slots=True)
class Row:
    """One word about one phantom that shows it.

    Attributes:
        said: Whether it was told to be there.
        hit: Whether the most salient place lies inside. chance: Share of the picture that it takes.
        in_box: Share of the structure that lies in the salient box.
        pointed: Dice of the mask by those prompts, whatever was said of presence.
        told: Dice of what a user gets: 0 where it was said to be absent.
        with_prompt: Dice of the mask by the true box, for comparison.
    """

    domain: str
    patient: str
    word: str
    said: bool
    hit: bool
    chance: float
    in_box: float
    pointed: float
    told: float
    with_prompt: float


def measure(number: int, segmenter: str = BUNDLED, embedder: str = "bundled") -> list[Row]:
    """Return a row for each structure and finding of so many phantoms."""
    prompted = load_segmenter(segmenter)
    by_words = TextSegmenter(prompted, load_embedder(embedder))
    rows = []
    for phantom in sample("test", number, seed=0):
        image = phantom_image(phantom)
        for word, truth in phantom.masks.items():
            present, _ = by_words.presence(image, word)
            pointed = by_words.point(image, word)
            if pointed is None:
                rows.append(
                    Row(
                        phantom.domain,
                        phantom.patient_id,
                        word,
                        False,
                        False,
                        truth.mean(),
                        *4 * [0.0],
                    )
                )
                continue
            (x, y, _), (left, top, right, bottom) = pointed.points[0], pointed.box
            made = prompted.segment(image, box=pointed.box).mask
            ys, xs = np.nonzero(truth)
            true_box = (int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max()))
            score, said = dice(made, truth), present >= 0.5
            rows.append(
                Row(
                    phantom.domain,
                    phantom.patient_id,
                    word,
                    said,
                    bool(truth[y, x]),
                    float(truth.mean()),
                    float(truth[top : bottom + 1, left : right + 1].sum() / truth.sum()),
                    score,
                    score if said else 0.0,
                    dice(prompted.segment(image, box=true_box).mask, truth),
                )
            )
    return rows


def table(rows: list[Row]) -> str:
    """Return the figures as Markdown, over all words and by domain."""
    by: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by["all"].append(row)
        by[row.domain].append(row)
    lines = [
        (
            "| domain (words) | said present | point inside | by chance | Dice by words | Dice told | "
            "Dice by the true box |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for domain, own in by.items():
        cells = []
        for name in ("said", "hit", "chance", "pointed", "told", "with_prompt"):
            values = np.array([float(getattr(row, name)) for row in own])
            told = mean_interval(values, [row.patient for row in own], (0.0, 1.0))
            cells.append(f"{values.mean():.2f} ({told.low:.2f} to {told.high:.2f})")
        lines.append(f"| {domain} ({len(own)}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=70)
    parser.add_argument("--segmenter", default=BUNDLED)
    parser.add_argument("--embedder", default="bundled")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(asked.phantoms, asked.segmenter, asked.embedder)
    Console(width=200).print(table(rows), markup=False)


if __name__ == "__main__":
    main()
