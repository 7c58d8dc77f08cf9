import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, ndcg_score

from overread.evals.metrics.retrieval import (
    average_precision,
    chance_hit_rate_at,
    hit_rate_at,
    ndcg_at,
    precision_at,
    ranking_scores,
    recall_at,
    reciprocal_rank,
)
from overread.imaging.errors import InputError

DISCOUNT = 1 / np.log2(np.arange(2, 8))
# Relevance in order of the ranking -> at k = 2: hit, recall, precision, nDCG; then AP, 1 / rank.
TABLE = [
    ("1", 1, 1, 0.5, 1, 1, 1),
    ("0", 0, 0, 0, 0, 0, 0),
    ("10", 1, 1, 0.5, 1, 1, 1),
    ("01", 1, 1, 0.5, DISCOUNT[1], 1 / 2, 1 / 2),
    ("001", 0, 0, 0, 0, 1 / 3, 1 / 3),
    ("011", 1, 1 / 2, 1 / 2, DISCOUNT[1] / DISCOUNT[:2].sum(), (1 / 2 + 2 / 3) / 2, 1 / 2),
    ("110", 1, 1, 1, 1, 1, 1),
    ("101", 1, 1 / 2, 1 / 2, DISCOUNT[0] / DISCOUNT[:2].sum(), (1 + 2 / 3) / 2, 1),
    ("111", 1, 2 / 3, 1, 1, 1, 1),
    ("0000", 0, 0, 0, 0, 0, 0),
    ("0101", 1, 1 / 2, 1 / 2, DISCOUNT[1] / DISCOUNT[:2].sum(), (1 / 2 + 2 / 4) / 2, 1 / 2),
    ("00011", 0, 0, 0, 0, (1 / 4 + 2 / 5) / 2, 1 / 4),
    ("10001", 1, 1 / 2, 1 / 2, DISCOUNT[0] / DISCOUNT[:2].sum(), (1 + 2 / 5) / 2, 1),
]


@pytest.mark.parametrize(("ranking", "hit", "recall", "precision", "ndcg", "ap", "rr"), TABLE)
def test_hand_computed_table(
    ranking: str, hit: float, recall: float, precision: float, ndcg: float, ap: float, rr: float
) -> None:
    relevant = np.array([[mark == "1" for mark in ranking]])
    similarity = -np.arange(len(ranking), dtype=np.float32)[None]
    assert hit_rate_at(similarity, relevant, 2) == [hit]
    assert recall_at(similarity, relevant, 2) == pytest.approx([recall])
    assert precision_at(similarity, relevant, 2) == pytest.approx([precision])
    assert ndcg_at(similarity, relevant, 2) == pytest.approx([ndcg])
    assert average_precision(similarity, relevant) == pytest.approx([ap])
    assert reciprocal_rank(similarity, relevant) == pytest.approx([rr])


GRADED = [
    # grades in order of the ranking, k -> nDCG
    ([3, 2, 1], 3, 1),
    ([1, 2, 3], 3, (1 + 2 * DISCOUNT[1] + 3 / 2) / (3 + 2 * DISCOUNT[1] + 1 / 2)),
    ([1, 2, 3], 1, 1 / 3),
    ([0, 3], 1, 0),
    ([0, 3], 2, DISCOUNT[1]),
    ([2, 0, 2], 2, 2 / (2 + 2 * DISCOUNT[1])),
    ([2, 0, 2], 3, (2 + 2 / 2) / (2 + 2 * DISCOUNT[1])),
    ([5], 10, 1),
    ([0, 0], 2, 0),
    ([0.5, 1.0], 2, (0.5 + DISCOUNT[1]) / (1 + 0.5 * DISCOUNT[1])),
]


@pytest.mark.parametrize(("grades", "k", "expected"), GRADED)
def test_graded_gain_by_hand(grades: list[float], k: int, expected: float) -> None:
    similarity = -np.arange(len(grades), dtype=float)[None]
    assert ndcg_at(similarity, np.array([grades]), k) == pytest.approx([expected])


def distinct(rows: int, items: int) -> st.SearchStrategy[np.ndarray]:
    row = st.permutations(range(items))
    return st.lists(row, min_size=rows, max_size=rows).map(lambda r: np.array(r) / items)


@given(distinct(4, 7), arrays(np.int64, (4, 7), elements=st.integers(0, 3)), st.integers(1, 9))
@settings(deadline=None)
def test_it_matches_scikit_learn(similarity: np.ndarray, grades: np.ndarray, k: int) -> None:
    for row, graded in zip(similarity, grades, strict=True):
        ours = ndcg_at(row[None], graded[None], k)
        assert ours == pytest.approx([ndcg_score(graded[None], row[None], k=k)])
        if graded.any():
            ours = average_precision(row[None], graded[None] > 0)
            assert ours == pytest.approx([average_precision_score(graded > 0, row)])


similarities = arrays(np.float64, (3, 6), elements=st.sampled_from([-np.inf, 0.0, 0.5, 1.0]))
relevances = arrays(np.bool_, (3, 6))


@given(similarities, relevances, st.permutations(range(6)), st.integers(1, 6))
@settings(deadline=None)
def test_order_of_the_items_earns_nothing(similarity, relevant, order, k) -> None:
    for figure in (hit_rate_at, recall_at, precision_at, ndcg_at):
        value = figure(similarity, relevant, k)
        assert ((value >= 0) & (value <= 1 + 1e-12)).all()
        np.testing.assert_allclose(value, figure(similarity[:, order], relevant[:, order], k))
    for whole in (average_precision, reciprocal_rank):
        value = whole(similarity, relevant)
        np.testing.assert_allclose(value, whole(similarity[:, order], relevant[:, order]))


def test_the_same_similarity_for_all_is_no_ranking() -> None:
    relevant = np.array([[True, False, False, False]])
    assert hit_rate_at(np.ones((1, 4)), relevant, 3) == [0]
    assert reciprocal_rank(np.ones((1, 4)), relevant) == [0.25]


def test_chance_is_the_share_of_right_items_at_one() -> None:
    relevant = np.array([[False, True, True], [False, False, True]])
    assert chance_hit_rate_at(relevant, 1) == pytest.approx([2 / 3, 1 / 3])
    assert chance_hit_rate_at(relevant, 2) == pytest.approx([1 - 1 / 9, 1 - 4 / 9])


def test_unusable_input_is_named() -> None:
    good, right = np.array([[0.1, 0.2]]), np.array([[True, False]])
    with pytest.raises(InputError, match="one shape"):
        recall_at(good, right[:, :1], 1)
    with pytest.raises(InputError, match="not a number"):
        recall_at(np.array([[0.1, np.nan]]), right, 1)
    with pytest.raises(InputError, match="k is 0"):
        precision_at(good, right, 0)
    with pytest.raises(InputError, match="negative"):
        ndcg_at(good, np.array([[1, -1]]), 1)


IDEAL = 1 / np.log2(np.arange(2, 12))


@pytest.mark.parametrize(
    ("ranking", "relevant", "recalls", "mean_precision", "ndcg"),
    [
        ("a", "a", (1, 1, 1), 1, 1),
        ("ba", "a", (0, 1, 1), 1 / 2, IDEAL[1]),
        ("abc", "ac", (1 / 2, 1, 1), (1 + 2 / 3) / 2, (1 + IDEAL[2]) / IDEAL[:2].sum()),
        ("abc", "az", (1 / 2, 1 / 2, 1 / 2), 1 / 2, 1 / IDEAL[:2].sum()),
        ("bc", "az", (0, 0, 0), 0, 0),
        ("", "a", (0, 0, 0), 0, 0),
        ("ab", "", (0, 0, 0), 0, 0),
        ("bcdefa", "a", (0, 0, 1), 1 / 6, IDEAL[5]),
        ("bcdefghijka", "a", (0, 0, 0), 1 / 11, 0),
        ("b", "xyz", (0, 0, 0), 0, 0),
    ],
)
def test_one_ranking_by_hand(
    ranking: str, relevant: str, recalls: tuple[float, ...], mean_precision: float, ndcg: float
) -> None:
    assert ranking_scores(list(ranking), set(relevant)) == pytest.approx(
        dict(zip(("recall_at_1", "recall_at_5", "recall_at_10"), recalls, strict=True))
        | {"map": mean_precision, "ndcg_at_10": ndcg}
    )


@given(
    st.permutations(list("abcdefghijklmnop")),
    st.sets(st.sampled_from("abcdefghijklmnop"), min_size=1),
)
def test_a_whole_ranking_scores_as_its_array(ranking: list[str], relevant: set[str]) -> None:
    right = np.array([[case in relevant for case in ranking]])
    falling = -np.arange(len(ranking), dtype=float)[None]
    found = ranking_scores(ranking, relevant)
    assert found["map"] == pytest.approx(average_precision(falling, right)[0])
    assert found["ndcg_at_10"] == pytest.approx(ndcg_score(right.astype(int), falling, k=10))
    assert found["recall_at_5"] == pytest.approx(recall_at(falling, right, 5)[0])


@given(
    st.permutations(list("abcdefgh")),
    st.sets(st.sampled_from("abcdefgh"), min_size=1),
    st.integers(0, 8),
)
def test_a_shorter_ranking_never_scores_more(
    ranking: list[str], relevant: set[str], length: int
) -> None:
    whole, part = ranking_scores(ranking, relevant), ranking_scores(ranking[:length], relevant)
    assert all(part[name] <= value + 1e-12 for name, value in whole.items())
