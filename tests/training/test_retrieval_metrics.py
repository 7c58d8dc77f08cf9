import numpy as np
import pytest

from overread.training.retrieval_metrics import chance_recall_at, precision_at, recall_at

SIMILARITY = np.array([[0.9, 0.5, 0.1], [0.2, 0.3, 0.8]], dtype=np.float32)
RELEVANT = np.array([[False, True, True], [False, False, True]])


def test_hand_computed_table() -> None:
    # First query ranks 0, 1, 2 (right from rank 2 on); second ranks 2, 1, 0 (right at rank 1).
    assert recall_at(SIMILARITY, RELEVANT, 1) == 0.5
    assert recall_at(SIMILARITY, RELEVANT, 2) == 1.0
    assert precision_at(SIMILARITY, RELEVANT, 1) == 0.5
    assert precision_at(SIMILARITY, RELEVANT, 2) == 0.5
    assert precision_at(SIMILARITY, RELEVANT, 3) == 0.5


def test_chance_is_the_share_of_right_items_at_one() -> None:
    assert chance_recall_at(RELEVANT, 1) == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert chance_recall_at(RELEVANT, 2) == pytest.approx((1 - 1 / 9 + 1 - 4 / 9) / 2)
