import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from overread.evals.metrics.calibration import (
    accuracy_at_coverage,
    aurc,
    brier,
    ece,
    judged,
    reliability,
    risk_coverage,
)
from overread.evals.records import Record
from overread.imaging.errors import InputError

# confidences, outcomes -> ECE of 10 equal widths, Brier, AURC
TABLE = [
    ([1.0], [1], 0, 0, 0),
    ([1.0], [0], 1, 1, 1),
    ([0.0], [0], 0, 0, 1),
    ([0.5], [1], 0.5, 0.25, 0),
    ([0.5, 0.5], [1, 0], 0, 0.25, 0.5),  # equal confidences: every order has the same risk
    ([0.9, 0.9], [1, 0], 0.4, 0.41, 0.5),
    ([0.9, 0.8], [1, 0], (0.1 + 0.8) / 2, (0.01 + 0.64) / 2, (0 + 1 / 2) / 2),
    ([0.8, 0.9], [1, 0], (0.2 + 0.9) / 2, (0.04 + 0.81) / 2, (1 + 1 / 2) / 2),
    ([0.9, 0.85, 0.1], [1, 1, 0], (0.25 + 0.1) / 3, (0.01 + 0.0225 + 0.01) / 3, (1 / 3) / 3),
    ([0.25, 0.75, 0.75, 0.75], [0, 1, 1, 1], 0.25, 0.0625, (1 / 4) / 4),
    ([1.0, 1.0, 0.4], [1, 0, 0.5], (1 + 0.1) / 3, (1 + 0.01) / 3, (0.5 + 0.5 + 0.5) / 3),
    ([0.1, 0.2, 0.3], [0, 0, 0], 0.2, (0.01 + 0.04 + 0.09) / 3, 1),
]


@pytest.mark.parametrize(("confidence", "correct", "error", "score", "area"), TABLE)
def test_hand_computed_table(
    confidence: list[float], correct: list[float], error: float, score: float, area: float
) -> None:
    said, right = np.array(confidence), np.array(correct, dtype=float)
    assert ece(said, right, bins=10) == pytest.approx(error)
    assert brier(said, right) == pytest.approx(score)
    assert aurc(said, right) == pytest.approx(area)


answers = st.lists(
    st.tuples(st.sampled_from(np.linspace(0, 1, 21).tolist()), st.booleans()), min_size=1
).map(lambda pairs: (np.array([p[0] for p in pairs]), np.array([float(p[1]) for p in pairs])))


@given(answers, st.integers(1, 20))
@settings(deadline=None)
def test_it_matches_scikit_learn_and_monai(pairs, bins: int) -> None:
    from monai.metrics.calibration import calibration_binning

    said, right = pairs
    points = reliability(said, right, bins)
    true, predicted = calibration_curve(right, said, n_bins=bins) if len(set(right)) == 2 else (
        np.array([p.correct for p in points]), np.array([p.confidence for p in points])
    )  # fmt: skip
    assert [p.correct for p in points] == pytest.approx(true.tolist())
    assert [p.confidence for p in points] == pytest.approx(predicted.tolist())
    assert brier(said, right) == pytest.approx(brier_score_loss(right, said, pos_label=1))
    if not any(abs(s * bins - round(s * bins)) < 1e-9 for s in said):  # off the edges
        shape = (1, 1, len(said))
        mean, hit, number = (
            figure.numpy().ravel()
            for figure in calibration_binning(
                torch.tensor(said).reshape(shape), torch.tensor(right).reshape(shape), bins
            )
        )
        expected = np.nansum(number * abs(mean - hit)) / number.sum()
        assert ece(said, right, bins) == pytest.approx(expected, abs=1e-6)


@given(answers, st.integers(1, 20))
@example((np.array([0.0] * 6 + [0.05] * 3 + [0.1]), np.array([0.0] * 5 + [1.0] + [0.0] * 4)), 3)
@settings(deadline=None)
def test_equal_mass_matches_scikit_learn(pairs, bins: int) -> None:
    said, right = pairs
    if len(set(right)) == 2:
        points = reliability(said, right, bins, equal_mass=True)
        true, predicted = calibration_curve(right, said, n_bins=bins, strategy="quantile")
        assert [p.correct for p in points] == pytest.approx(true.tolist())
        assert [p.confidence for p in points] == pytest.approx(predicted.tolist())


def test_equal_mass_shares_answers_out() -> None:
    said = np.linspace(0.9, 1.0, 100)
    points = reliability(said, np.ones(100), 10, equal_mass=True)
    assert {p.n for p in points} <= {9, 10, 11} and len(points) == 10
    assert len(reliability(said, np.ones(100), 10)) == 2  # widths put them into one bin, nearly
    assert points[0].low == 0.9 and points[-1].high == 1.0


@given(answers, st.integers(1, 20), st.booleans(), st.randoms())
@settings(deadline=None)
def test_order_is_irrelevant_and_bins_lose_nothing(pairs, bins, equal_mass, random) -> None:
    said, right = pairs
    order = random.sample(range(len(said)), len(said))
    points = reliability(said, right, bins, equal_mass)
    assert sum(p.n for p in points) == len(said)
    assert all(p.low - 1e-9 <= p.confidence <= p.high + 1e-9 for p in points)
    assert 0 <= ece(said, right, bins, equal_mass) <= 1
    assert ece(said[order], right[order], bins, equal_mass) == pytest.approx(
        ece(said, right, bins, equal_mass)
    )
    assert aurc(said[order], right[order]) == pytest.approx(aurc(said, right))
    curve = risk_coverage(said, right)
    assert curve.coverage[-1] == 1 and curve.risk[-1] == pytest.approx(1 - right.mean())


@given(answers)
@settings(deadline=None)
def test_the_best_ranking_has_the_least_area(pairs) -> None:
    _, right = pairs
    best, worst = aurc(0.5 + right / 4, right), aurc(0.5 - right / 4, right)
    assert best <= aurc(np.full(len(right), 0.5), right) + 1e-12
    assert aurc(np.full(len(right), 0.5), right) <= worst + 1e-12
    assert aurc(np.full(len(right), 0.5), right) == pytest.approx(1 - right.mean())


COVERAGES = [
    # asked, coverage -> accuracy of 0.9 right, 0.8 right, 0.7 wrong, 0.6 right
    (4, 0.25, 1.0), (4, 0.5, 1.0), (4, 0.51, 2 / 3), (4, 0.75, 2 / 3), (4, 1.0, 3 / 4),
    (None, 1.0, 3 / 4), (8, 0.25, 1.0), (8, 0.375, 2 / 3), (8, 0.5, 3 / 4), (8, 0.51, None),
    (40, 0.01, 1.0), (40, 0.2, None),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "coverage", "expected"), COVERAGES)
def test_accuracy_at_coverage_by_hand(asked, coverage: float, expected: float | None) -> None:
    said, right = np.array([0.6, 0.9, 0.7, 0.8]), np.array([1.0, 1, 0, 1])
    told = accuracy_at_coverage(said, right, coverage, asked)
    assert told == (expected if expected is None else pytest.approx(expected))


def test_who_did_not_answer_stays_in_the_coverage() -> None:
    def record(number: int, **fields: object) -> Record:
        base: dict = {"status": "scored", "scores": {"right": 1.0}, "main": "right"}
        base |= {"confidence": 0.9, "item": str(number)} | fields
        return Record(benchmark="b", subject="s", question="?", **base)

    told = judged([
        record(1),
        record(2, confidence=0.4, scores={"right": 0.0}),
        record(3, abstained=True),
        record(4, confidence=None),
        record(5, status="failed", reason="the server was away", scores={}),
    ])  # fmt: skip
    assert told.confidence.tolist() == [0.9, 0.4] and told.correct.tolist() == [1.0, 0.0]
    curve = risk_coverage(told.confidence, told.correct, told.asked)
    assert curve.coverage.tolist() == [0.2, 0.4] and curve.risk.tolist() == [0.0, 0.5]
    assert judged([]).asked == 0


def test_unusable_input_is_named() -> None:
    one = np.array([0.5])
    with pytest.raises(InputError, match="confidence is not in"):
        brier(np.array([95.0]), one)
    with pytest.raises(InputError, match="correctness is not in"):
        brier(one, np.array([np.nan]))
    with pytest.raises(InputError, match="at least one"):
        ece(np.array([]), np.array([]))
    with pytest.raises(InputError, match="0 bins"):
        ece(one, one, bins=0)
    with pytest.raises(InputError, match="1 answers to 0 questions"):
        risk_coverage(one, one, asked=0)
    with pytest.raises(InputError, match="coverage is 0"):
        accuracy_at_coverage(one, one, 0)
