import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou as reference_iou

from overread.evals.metrics.grounding import (
    Box,
    box_iou,
    box_ious,
    boxes_in,
    boxes_of,
    iou_at,
    match,
    mean_iou,
)
from overread.imaging.errors import InputError

A, B, C = (0, 0, 4, 4), (10, 0, 14, 4), (2, 0, 6, 4)

PAIRS = [
    (A, A, 1.0),
    (A, B, 0.0),
    (A, C, 8 / 24),
    (A, (4, 0, 8, 4), 0.0),  # they touch
    (A, (0, 0, 2, 2), 4 / 16),
    (A, (1, 1, 3, 3), 4 / 16),
    (A, (0, 0, 4, 2), 0.5),
    (A, (-2, -2, 2, 2), 4 / 28),
    (A, (3, 3, 5, 5), 1 / 19),
    ((0.5, 0.5, 1.5, 1.5), (1, 0.5, 2, 1.5), 0.5 / 1.5),
    ((0, 0, 100, 1), (0, 0, 1, 100), 1 / 199),
]


@pytest.mark.parametrize(("box", "truth", "expected"), PAIRS)
def test_iou_by_hand(box: Box, truth: Box, expected: float) -> None:
    assert box_iou(box, truth) == pytest.approx(expected)


SETS = [
    # drawn, reference -> mean IoU, IoU@0.3, IoU@0.5
    ([], [], 1, 1, 1),
    ([A], [], 0, 0, 0),
    ([], [A], 0, 0, 0),
    ([A], [A], 1, 1, 1),
    ([A], [C], 1 / 3, 1, 0),
    ([A], [B], 0, 0, 0),
    ([A, B], [B, A], 1, 1, 1),
    ([A, A], [A], 0.5, 2 / 3, 2 / 3),  # drawn twice, found once
    ([A], [A, B], 0.5, 2 / 3, 2 / 3),
    ([A, B], [A], 0.5, 2 / 3, 2 / 3),
    ([C, A], [A], 0.5, 2 / 3, 2 / 3),  # the better one counts
    ([A, B], [A, C], 0.5, 0.5, 0.5),
    ([A, C, B], [A], 1 / 3, 0.5, 0.5),
]


@pytest.mark.parametrize(("boxes", "truths", "mean", "at_3", "at_5"), SETS)
def test_sets_by_hand(
    boxes: list[Box], truths: list[Box], mean: float, at_3: float, at_5: float
) -> None:
    assert mean_iou(boxes, truths) == pytest.approx(mean)
    assert iou_at(boxes, truths, 0.3) == pytest.approx(at_3)
    assert iou_at(boxes, truths, 0.5) == pytest.approx(at_5)


def test_matching_prefers_more_pairs_over_one_better_pair() -> None:
    ious = np.array([[1.0, 0.5], [0.5, 0.0]])
    assert match(ious, 0.5) == [(0, 1), (1, 0)]
    assert match(ious, 0.6) == [(0, 0)]
    assert match(np.zeros((0, 3))) == []


corners = st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 9)] * 2)
boxes_ = st.lists(corners.map(lambda c: (c[0], c[1], c[0] + c[2], c[1] + c[3])), max_size=6)


@given(boxes_.filter(len), boxes_.filter(len))
@settings(deadline=None)
def test_matrix_is_torchvisions(boxes: list[Box], truths: list[Box]) -> None:
    expected = reference_iou(torch.tensor(boxes).float(), torch.tensor(truths).float())
    np.testing.assert_allclose(box_ious(boxes, truths), expected.numpy(), atol=1e-6)


@given(boxes_, boxes_, st.randoms())
@settings(deadline=None)
def test_sets_are_bounded_symmetric_and_without_order(boxes, truths, random) -> None:
    mean, at = mean_iou(boxes, truths), iou_at(boxes, truths, 0.5)
    assert 0 <= mean <= 1 and 0 <= at <= 1
    assert (mean_iou(truths, boxes), iou_at(truths, boxes, 0.5)) == pytest.approx((mean, at))
    shuffled = random.sample(boxes, len(boxes))
    assert (mean_iou(shuffled, truths), iou_at(shuffled, truths, 0.5)) == pytest.approx((mean, at))
    assert iou_at(boxes, truths, 0.9) <= at
    assert mean_iou(boxes, boxes) == 1.0


def test_boxes_lie_around_regions_and_cover_their_pixels() -> None:
    mask = np.zeros((8, 10), bool)
    mask[1:3, 2:7] = mask[5, 0] = mask[6, 1] = mask[7, 9] = True
    assert boxes_of(mask) == [(2, 1, 7, 3), (0, 5, 2, 7), (9, 7, 10, 8)]
    assert boxes_of(np.zeros((3, 3), bool)) == []
    assert box_iou(boxes_of(mask[:4])[0], (2, 1, 7, 3)) == 1.0


@pytest.mark.parametrize("bad", [(4, 0, 0, 4), (0, 0, 0, 4), (0, 0, float("nan"), 4), (0, 0, 4)])
def test_a_box_without_area_is_refused(bad: Box) -> None:
    with pytest.raises(InputError, match="left, top, right, bottom"):
        mean_iou([bad], [A])


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01, float("nan")])
def test_threshold_outside_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match="IoU threshold"):
        iou_at([A], [A], threshold)


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("[10, 20, 30, 40]", [(10, 20, 30, 40)]),
        ("[[10,20,30,40],[1.5, 2, 3, 4]]", [(10, 20, 30, 40), (1.5, 2, 3, 4)]),
        ('```json\n[{"bbox_2d": [10, 20, 30, 40], "label": "1 of 2"}]\n```', [(10, 20, 30, 40)]),
        ("<box>(10,20),(30,40)</box>", [(10, 20, 30, 40)]),
        ("<|box_start|>(10, 20), (30, 40)<|box_end|>", [(10, 20, 30, 40)]),
        ("10, 20, 30, 40", [(10, 20, 30, 40)]),
        ("The lesion [E2] is at [10, 20, 30, 40] [E3].", [(10, 20, 30, 40)]),
        ("Not [1, 2, 3, 4]. Final answer: [10, 20, 30, 40]", [(10, 20, 30, 40)]),
        (r"[1, 2, 3, 4] so \boxed{[10, 20, 30, 40]}", [(10, 20, 30, 40)]),
        ("<think>[1, 2, 3, 4]?</think>[10, 20, 30, 40]", [(10, 20, 30, 40)]),
        ("[-1, -2, 3, 4]", [(-1, -2, 3, 4)]),
        ("None.", []),
        ("Answer: none", []),
        ("[]", []),
        ("No findings", []),
        ("", None),
        ("...", None),
        ("It is in the left lung.", None),
        ("10, 20, 30", None),
        ("[10, 20, 30]", None),
        ("[1, 2, 3, 4, 5]", None),
        ("[30, 20, 10, 40]", None),
        ("[10, 20, 30, 40], [5, 5, 5, 9]", None),
        ("There is none of the usual signs; see image 1.", None),
    ],
)
def test_boxes_are_read_from_words_and_never_guessed(text: str, boxes: list[Box] | None) -> None:
    assert boxes_in(text) == (None if boxes is None else tuple(boxes))


def test_shares_are_of_the_image() -> None:
    assert boxes_in("[0.1, 0.5, 0.2, 1.0]", (100, 40)) == ((10, 20, 20, 40),)
    assert boxes_in("[0.1, 0.5, 0.2, 1.0]") == ((0.1, 0.5, 0.2, 1.0),)
    assert boxes_in("[0, 0, 2, 1]", (100, 40)) == ((0, 0, 2, 1),)


@given(
    st.lists(st.tuples(*[st.integers(-99, 999)] * 2, *[st.integers(1, 500)] * 2), min_size=1),
    st.sampled_from(["{}", "The answer is {}", "<answer>{}</answer>", "Boxes: {} [E1]"]),
)
def test_every_list_of_boxes_is_read_back(
    drawn: list[tuple[int, int, int, int]], words: str
) -> None:
    boxes = [(x, y, x + width, y + height) for x, y, width, height in drawn]
    assert boxes_in(words.format([list(box) for box in boxes])) == tuple(boxes)


@given(st.text(alphabet="[](),.; 0123456789-abcnone\n"))
def test_what_is_read_is_always_sound(text: str) -> None:
    for box in boxes_in(text) or ():
        assert box_iou(box, box) == 1
