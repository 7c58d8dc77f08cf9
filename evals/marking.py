"""Which metric marks which kind of item."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import PIL.Image

from overread.evals.items import Item, Kind
from overread.evals.metrics.answers import score_answer
from overread.evals.metrics.grounding import Box, boxes_in, iou_at, mean_iou
from overread.evals.metrics.retrieval import ranking_scores
from overread.evals.metrics.segmentation import dice, hd95, iou, nsd
from overread.evals.metrics.support import support
from overread.evals.subjects.base import Reply
from overread.evals.subjects.pools import case_id
from overread.imaging.errors import InputError
from overread.imaging.limits import reading
from overread.imaging.study import Mask

NSD_TOLERANCE_MM = 2.0
IOU_AT = (0.25, 0.5, 0.75)
_PIXELS = (1.0, 1.0)


class Marks(NamedTuple):
    """What a reply is worth.

    Attributes:
        values: Scores by metric name.
        main: Name of the one that decides.
        parsed: The answer as it was read.
        failed_scores: As in `Record`.
    """

    values: Mapping[str, float]
    main: str
    parsed: str | None = None
    failed_scores: Mapping[str, str] = MappingProxyType({})


def mark(item: Item, reply: Reply, metric: str | None = None) -> Marks:
    """Return what a reply is worth.

    Args:
        item: With its reference.
        reply: To it. Where it brings evidence, its claims are held against that as well; of an
            agent, "valid_steps" is the share of its steps that were well-formed, with tools that
            there are and arguments that they take.
        metric: Which score decides; the usual one of the item's kind if None.

    Raises:
        InputError: The reference cannot be used, there is no such metric for the item, or its
            kind cannot be answered by the subject.
    """
    given = _SCORERS.get(item.kind, _words)(item, reply)
    values = dict(given.values)
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
    if steps := reply.detail.get("steps"):
        values["valid_steps"] = 1 - reply.detail["refused_steps"] / steps
    return given._replace(values=values, main=metric or given.main)


def _words(item: Item, reply: Reply) -> Marks:
    scores = score_answer(item, reply.text)
    return Marks(scores.values, scores.main, scores.parsed)


def _boxes(item: Item, reply: Reply) -> Marks:
    """Mark boxes: those that the subject points at, else those that its words give."""
    truth: list[Box] = [(box[0], box[1], box[2], box[3]) for box in item.extra["boxes"]]
    drawn = reply.boxes if reply.boxes is not None else boxes_in(reply.text, item.extra.get("size"))
    if drawn is None:
        values = dict.fromkeys(("mean_iou", *(f"iou_at_{t}" for t in IOU_AT)), 0.0)
        return Marks(values | {"unparsed": 1.0}, "mean_iou")
    values = {
        "mean_iou": mean_iou(drawn, truth),
        **{f"iou_at_{t}": iou_at(drawn, truth, t) for t in IOU_AT},
        "unparsed": 0.0,
    }
    return Marks(values, "mean_iou", json.dumps([[round(n, 1) for n in box] for box in drawn]))


def _retrieval(item: Item, reply: Reply) -> Marks:
    """Mark a ranking of cases; the query's own study counts neither way.

    Raises:
        InputError: The subject cannot rank.
    """
    if reply.ranking is None:
        raise InputError(
            "the subject gave no ranking of cases: an item of kind 'retrieval' is for the agent "
            "and for the kNN baseline"
        )
    own = case_id(item)
    ranking = [case for case in dict.fromkeys(reply.ranking) if case != own]
    values = ranking_scores(ranking, {answer for answer in item.answers if answer != own})
    return Marks(values | {"unparsed": float(not ranking)}, "map", ", ".join(ranking) or None)


def _masks(item: Item, reply: Reply) -> Marks:
    return Marks(_mask_scores(item, reply), "dice")


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


_SCORERS: dict[Kind, Callable[[Item, Reply], Marks]] = {
    "mask": _masks,
    "boxes": _boxes,
    "retrieval": _retrieval,
}
