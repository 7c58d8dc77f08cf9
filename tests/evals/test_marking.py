"""Each kind of item is marked by its own metric."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from overread.evals.items import Item
from overread.evals.marking import mark
from overread.evals.subjects.base import Reply
from overread.imaging.errors import InputError

CLOSED = Item("q", "Is there a nodule?", (), ("yes",), "closed", ("yes", "no"))
NODULE = {"id": "E1", "tool": "segment", "content": "segment nodule in image 1: found",
          "values": {"found": True, "target": "nodule"}}  # fmt: skip


def mask(path: Path, columns: slice, value: int = 255) -> Path:
    pixels = np.zeros((10, 10), np.uint8)
    pixels[2:6, columns] = value
    PIL.Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("drawn", "dice", "iou", "unparsed"),
    [
        (slice(0, 4), 1.0, 1.0, 0.0),
        (slice(2, 6), 0.5, 1 / 3, 0.0),
        (slice(0, 2), 2 / 3, 0.5, 0.0),
        (slice(6, 10), 0.0, 0.0, 0.0),
        (None, 0.0, 0.0, 1.0),
    ],
)
def test_masks(
    tmp_path: Path, drawn: slice | None, dice: float, iou: float, unparsed: float
) -> None:
    truth = mask(tmp_path / "truth.png", slice(0, 4), value=7)
    item = Item("m", "Outline it.", (), ("liver",), "mask", extra={"mask": str(truth), "value": 7})
    files = {} if drawn is None else {"mask": mask(tmp_path / "drawn.png", drawn)}
    values, main, *_ = mark(item, Reply("", files=files))
    assert main == "dice"
    assert (values["dice"], values["iou"]) == pytest.approx((dice, iou))
    assert values["unparsed"] == unparsed
    assert set(values) == {"dice", "iou", "hd95", "nsd", "unparsed"}


def test_another_grey_value_is_another_structure(tmp_path: Path) -> None:
    truth = mask(tmp_path / "truth.png", slice(0, 4), value=7)
    item = Item("m", "Outline it.", (), ("x",), "mask", extra={"mask": str(truth), "value": 8})
    reply = Reply("", files={"mask": mask(tmp_path / "drawn.png", slice(0, 4))})
    assert mark(item, reply).values["dice"] == 0.0


def test_claims_are_held_against_evidence_where_there_is_some() -> None:
    assert "hallucination" not in mark(CLOSED, Reply("Yes.")).values
    borne = mark(CLOSED, Reply("Yes, there is a nodule [E1].", evidence=(NODULE,))).values
    assert (borne["accuracy"], borne["hallucination"], borne["citation_precision"]) == (1, 0, 1)
    invented = mark(CLOSED, Reply("Yes, there is an effusion [E1].", evidence=(NODULE,))).values
    assert invented["hallucination"] == 1


def test_the_benchmark_chooses_the_metric() -> None:
    item = replace(CLOSED, kind="open", options=(), answers=("a large nodule",))
    reply = Reply("nodule")
    assert mark(item, reply).main == "token_f1"
    usual, chosen = mark(item, reply), mark(item, reply, "token_precision")
    assert chosen == usual._replace(main="token_precision")
    with pytest.raises(InputError, match="there is no metric 'dice' for an item of kind 'open'"):
        mark(item, reply, "dice")
