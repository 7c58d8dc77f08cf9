"""Which metric marks which kind of item."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image

from overread.evals.items import Item
from overread.evals.metrics.answers import score_answer
from overread.evals.metrics.segmentation import dice, hd95, iou, nsd
from overread.evals.metrics.support import support
from overread.evals.subjects.base import Reply
from overread.imaging.errors import InputError
from overread.imaging.limits import reading
from overread.imaging.study import Mask

NSD_TOLERANCE_MM = 2.0
_PIXELS = (1.0, 1.0)


class Marks(NamedTuple):
    """Scores by metric name, and the name of the one that decides."""

    values: Mapping[str, float]
    main: str


def mark(item: Item, reply: Reply, metric: str | None = None) -> Marks:
    """Return what a reply is worth.

    Args:
        item: With its reference.
        reply: To it. Where it brings evidence, its claims are held against that as well.
        metric: Which score decides; the usual one of the item's kind if None.

    Raises:
        InputError: The reference cannot be used, or there is no such metric for the item.
    """
    if item.kind == "mask":
        values, main = _mask_scores(item, reply), "dice"
    else:
        scores = score_answer(item, reply.text)
        values, main = dict(scores.values), scores.main
    if metric is not None and metric not in values:
        raise InputError(
            f"there is no metric '{metric}' for an item of kind '{item.kind}'; "
            f"choose from {', '.join(values)}"
        )
    if reply.evidence:
        borne = support(reply.text, reply.evidence, item.question)
        told = {
            "hallucination": borne.hallucination,
            "citation_precision": borne.citation_precision,
            "citation_recall": borne.citation_recall,
        }
        values |= {name: value for name, value in told.items() if value is not None}
    return Marks(values, metric or main)


def _mask_scores(item: Item, reply: Reply) -> dict[str, float]:
    """Mark a mask; none at all is an empty one, and flagged as unparsed.

    Distances are in mm where the item states its spacing, else in pixels.
    """
    truth = _read_mask(Path(str(item.extra["mask"])), item.extra.get("value"))
    drawn = reply.files.get("mask")
    mask = _read_mask(drawn, None) if drawn is not None else np.zeros_like(truth)
    rows, columns = item.extra.get("spacing_mm", _PIXELS)
    spacing = (float(rows), float(columns))
    tolerance = float(item.extra.get("tolerance_mm", NSD_TOLERANCE_MM))
    return {
        "dice": dice(mask, truth),
        "iou": iou(mask, truth),
        "hd95": hd95(mask, truth, spacing),
        "nsd": nsd(mask, truth, spacing, tolerance),
        "unparsed": float(drawn is None),
    }


def _read_mask(path: Path, value: int | None) -> Mask:
    """Return a mask file as booleans (rows, columns): of one grey value, or of all but 0."""
    with reading(path, "mask"), PIL.Image.open(path, formats=["PNG", "TIFF", "JPEG"]) as picture:
        pixels = np.asarray(picture if picture.mode in ("1", "L", "P", "I;16") else
                            picture.convert("L"))  # fmt: skip
    return pixels == value if value is not None else pixels > 0
