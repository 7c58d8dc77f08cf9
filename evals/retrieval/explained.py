"""Does the heat of an explanation fall on the finding that query and neighbour share?

    python -m overread.evals.retrieval.explained --queries 350 --cases 1400

The pointing game on test phantoms with an outlined finding: the hottest place hits if it lies on that
finding, or within 15 pixels of it. Beside it: the share of the picture that would be a hit (chance),
and how well heat tells the finding from the rest (area under the ROC curve). Both are also taken with
the outline of another phantom of the domain: whatever they reach there comes from where findings
usually are, not from this one.

Source: Zhang et al., Top-down neural attention by excitation backprop, ECCV (2016), for the game and
its tolerance.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import binary_dilation
from scipy.stats import rankdata

from overread.agent.config import load_config
from overread.evals.retrieval import command
from overread.evals.retrieval.phantom_cases import (
    PhantomCase,
    views,
)
from overread.evals.statistics.bootstrap import mean_interval
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms import generate
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import Image, ImageRef, Mask
from overread.index.embedder import Embedder, embed_all, load_embedder
from overread.index.explain import explain
from overread.index.records import picture

TOLERANCE = 15
"""Pixels of the phantom, which has 256 a side."""

OWN, OTHERS = ("hit", "ROC area"), ("hit, another's", "ROC area, another's")
MEASURES = (*OWN, *OTHERS, "chance")


def outlined(case: PhantomCase) -> dict[str, Mask]:
    """Return the outlines of a phantom's findings as the index sees the picture, by name."""
    number, visit = case.study_id.rsplit("-", 2)[1:]
    phantom = generate(case.domain, int(number), int(visit[1:]))
    return {
        name: np.asarray(picture(_as_image(mask, phantom.spacing_mm)).convert("L")) > 127
        for name, mask in phantom.masks.items()
        if name in case.labels
    }


def pointing(heat: NDArray[np.float32], mask: Mask) -> tuple[float, float]:
    """Return whether the hottest place is on a finding, 0 or 1, and the area under the ROC curve.

    Args:
        heat: (rows, columns).
        mask: Same shape; True on the finding, somewhere but not everywhere.
    """
    ranks, inside = rankdata(heat.ravel()), mask.ravel()
    positive, negative = int(inside.sum()), int((~inside).sum())
    area = (ranks[inside].sum() - positive * (positive + 1) / 2) / (positive * negative)
    return float(around(mask).ravel()[heat.argmax()]), float(area)


def around(mask: Mask) -> Mask:
    """Return a finding with what still counts as a hit."""
    return binary_dilation(mask, iterations=max(1, round(TOLERANCE * mask.shape[0] / 256)))


def measure(
    embedder: Embedder,
    queries: Sequence[PhantomCase],
    cases: Sequence[PhantomCase],
    pseudonymiser: Pseudonymiser,
) -> list[dict[str, Any]]:
    """Explain the nearest case that shares an outlined finding, for every query that has one.

    Returns:
        A row a query: its domain and patient, and the measures with what cases have in common taken
        away ("own") and left in ("whole").
    """
    vectors = embed_all(embedder, views(cases, pseudonymiser))
    rows, before = list[dict[str, Any]](), dict[str, Mask]()
    for query, seen in zip(queries, views(queries, pseudonymiser), strict=True):
        masks = outlined(query)
        domain = [i for i, case in enumerate(cases) if case.domain == query.domain]
        sharing = [i for i in domain if set(cases[i].labels) & masks.keys()]
        if not sharing:
            continue
        scores = vectors[sharing] @ embedder.embed_images([seen])[0]
        best = sharing[int(scores.argmax())]
        (neighbour,) = views([cases[best]], pseudonymiser)
        shared = sorted(set(cases[best].labels) & masks.keys())
        mask = np.logical_or.reduce([masks[name] for name in shared])
        other = before.get(query.domain)
        before[query.domain] = mask
        if other is None:  # the first of its domain is only there to be the other one
            continue
        row: dict[str, Any] = {"patient": query.patient_id, "domain": query.domain}
        common = vectors[domain].mean(axis=0)
        for kind, shift in (("own", common), ("whole", None)):
            heat = explain(embedder, seen, neighbour, shift).heat
            values = (*pointing(heat, mask), *pointing(heat, other), float(around(mask).mean()))
            row[kind] = dict(zip(MEASURES, values, strict=True))
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the measures in all and by domain."""
    found = Table("domain", "n", "heat", *MEASURES)
    for domain in ("all", *sorted({row["domain"] for row in rows})):
        some = [row for row in rows if domain in ("all", row["domain"])]
        for kind in ("own", "whole"):
            cells = []
            for name in MEASURES:
                values = np.array([row[kind][name] for row in some])
                interval = mean_interval(values, [row["patient"] for row in some], (0.0, 1.0))
                cells.append(f"{values.mean():.2f} ({interval.low:.2f} to {interval.high:.2f})")
            found.add_row(domain, str(len(some)), kind, *cells)
    return found


def _as_image(mask: Mask, spacing_mm: tuple[float, float]) -> Image:
    return Image(
        ref=ImageRef("mask", "s0", "i0"),
        pixels=np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2),
        modality="OT",
        spacing_mm=spacing_mm,
    )


def main() -> int:
    """Parse the command line, measure, print, and write JSON."""
    parser = command.parser(__doc__, "runs/retrieval-explained.json")
    parser.add_argument("--queries", type=int, default=350)
    args = parser.parse_args()

    def work() -> None:
        config = load_config()
        embedder = load_embedder(config.index.embedder)
        queries, cases = command.queries_and_cases(args, config)
        with tempfile.TemporaryDirectory() as secret:
            rows = measure(embedder, queries, cases, Pseudonymiser(Path(secret) / "secret"))
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.out, json.dumps(rows, indent=1) + "\n", mode=ORDINARY)
        Console().print(table(rows))

    return command.run(work)


if __name__ == "__main__":
    raise SystemExit(main())
