"""Intervals and tests against SciPy, statsmodels, and simulations whose truth is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint

from overread.evals.records import Record
from overread.evals.statistics.bootstrap import cluster_sums, mean_interval, resample
from overread.evals.statistics.comparison import (
    compare,
    compare_by_slice,
    holm,
    mcnemar,
    sign_flip_p,
)
from overread.evals.statistics.estimates import NOT_GIVEN, by_slice, estimate
from overread.evals.statistics.fairness import fairness
from overread.evals.statistics.power import power_note, smallest_difference
from overread.evals.statistics.values import values_of
from overread.imaging.errors import InputError


def record(item: object, value: float | None, cluster: object = "", **fields: object) -> Record:
    """A scored record, or a failed one where the value is None."""
    told: dict = {"benchmark": "b", "subject": "s", "question": "?"} | fields
    if value is None:
        return Record(item=str(item), cluster=str(cluster), status="failed", reason="away", **told)
    return Record(
        item=str(item), cluster=str(cluster), status="scored", scores={"right": value},
        main="right", **told,
    )  # fmt: skip


def run(values: list[float], **fields: object) -> list[Record]:
    return [record(number, value, **fields) for number, value in enumerate(values)]


def clustered(rng: np.random.Generator, clusters: int, rate: float) -> tuple[np.ndarray, list[int]]:
    """Draw right and wrong items whose patients differ in difficulty; sizes differ as well."""
    sizes = rng.integers(1, 6, clusters)
    rates = np.repeat(rng.beta(4 * rate, 4 * (1 - rate), clusters), sizes)
    return (rng.random(len(rates)) < rates).astype(float), np.repeat(
        np.arange(clusters), sizes
    ).tolist()


# Values by item


VALUES = [
    # (item, epoch, value) -> mean, items, failed
    ([(1, 1, 1.0)], 1.0, 1, 0),
    ([(1, 1, 1.0), (2, 1, 0.0)], 0.5, 2, 0),
    ([(1, 1, None)], 0.0, 1, 1),
    ([(1, 1, 1.0), (2, 1, None)], 0.5, 2, 1),
    ([(1, 1, 1.0), (1, 2, 0.0)], 0.5, 1, 0),
    ([(1, 1, 1.0), (1, 2, None)], 0.5, 1, 1),
    ([(1, 1, 1.0), (1, 2, 1.0), (2, 1, 0.0), (2, 2, 0.0)], 0.5, 2, 0),
    ([(1, 1, 1.0), (1, 2, 1.0), (1, 3, 1.0), (2, 1, 0.0)], 0.5, 2, 0),  # epochs are no items
    ([(1, 1, None), (1, 2, None), (2, 1, 1.0), (3, 1, 1.0)], 2 / 3, 3, 1),
    ([(1, 1, 0.25), (2, 1, 0.75), (3, 1, 0.5)], 0.5, 3, 0),
]


@pytest.mark.parametrize(("told", "mean", "n", "failed"), VALUES)
def test_epochs_are_averaged_and_failures_stay(told, mean: float, n: int, failed: int) -> None:
    found = estimate([record(item, value, epoch=epoch) for item, epoch, value in told])
    assert (found.mean, found.n, found.failed) == (pytest.approx(mean), n, failed)


def test_a_metric_that_is_not_told_of_an_item_is_counted_beside() -> None:
    with_distance = record(1, 1.0).model_copy(update={"scores": {"right": 1.0, "hd95_mm": 4.0}})
    records = [with_distance, record(2, 0.0), record(3, None)]
    found = estimate(records, "hd95_mm", failed_as=50.0)
    assert (found.mean, found.n, found.failed, found.without) == (27.0, 2, 1, 1)
    with pytest.raises(InputError, match="no record has a score dice"):
        estimate(records[:2], "dice")


def test_mixed_and_doubled_records_are_refused() -> None:
    with pytest.raises(InputError, match="agent and s are mixed"):
        values_of([record(1, 1.0), record(1, 1.0, subject="agent")])
    with pytest.raises(InputError, match="twice in epoch 1"):
        values_of([record(1, 1.0), record(1, 0.0)])


# The bootstrap


@pytest.mark.parametrize("seed", range(4))
def test_interval_matches_scipys_bca_of_clusters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, clusters = clustered(rng, 60, 0.8)
    sums = cluster_sums(np.column_stack([values, np.ones_like(values)]), clusters)
    ours = mean_interval(values, clusters, resamples=20_000)
    reference = scipy.stats.bootstrap(
        (sums[:, 0], sums[:, 1]), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True,
        vectorized=True, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1),
    )  # fmt: skip
    expected = reference.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=0.005)
    assert ours.standard_error == pytest.approx(reference.standard_error, rel=0.03)


def test_draws_are_the_same_whatever_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(0).random((50, 2))
    whole = resample(sums, 300, seed=7)
    monkeypatch.setattr("overread.evals.statistics.bootstrap.AT_ONCE", 50 * 7)
    np.testing.assert_allclose(resample(sums, 300, seed=7), whole)
    assert not np.allclose(resample(sums, 300, seed=8), whole)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """200 runs of 60 patients with correlated items, and the interval that ignores patients."""
    rng, rate, hits, naive = np.random.default_rng(20), 0.7, 0, 0
    for _ in range(200):
        values, clusters = clustered(rng, 60, rate)
        by_patient = mean_interval(values, clusters, resamples=1000)
        by_item = mean_interval(values, range(len(values)), resamples=1000)
        hits += by_patient.low <= rate <= by_patient.high
        naive += by_item.low <= rate <= by_item.high
    assert 0.90 <= hits / 200 <= 0.99
    assert naive < hits


def test_paired_interval_covers_the_true_difference() -> None:
    rng, hits = np.random.default_rng(21), 0
    for _ in range(200):
        clusters = np.repeat(np.arange(80), 3)
        ease = np.repeat(rng.normal(0, 0.15, 80), 3)
        first = (rng.random(240) < np.clip(0.65 + ease, 0, 1)).astype(float)
        second = (rng.random(240) < np.clip(0.55 + ease, 0, 1)).astype(float)
        told = mean_interval(first - second, clusters.tolist(), (-1, 1), resamples=1000)
        hits += told.low <= 0.1 <= told.high
    assert 0.90 <= hits / 200 <= 0.99


@pytest.mark.parametrize("n", [1, 2, 5, 30, 200])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_alike_is_not_certainty(n: int, value: float) -> None:
    found = estimate(run([value] * n))
    expected = proportion_confint(n * value, n, method="beta")
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.mean == value


def test_items_of_one_patient_count_as_one_trial() -> None:
    found = estimate([record(number, 1.0, cluster="p1") for number in range(50)])
    assert (found.clusters, found.n) == (1, 50)
    assert found.low == pytest.approx(0.025)
    mixed = estimate([record(number, float(number % 2), cluster="p1") for number in range(50)])
    assert math.isnan(mixed.low) and math.isnan(mixed.high)
    assert "too few" in mixed.note


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=40), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_intervals_hold_the_mean_and_do_not_depend_on_names(values, modulus: int) -> None:
    records = [record(n, v, cluster=n % modulus) for n, v in enumerate(values)]
    found = estimate(records, resamples=200)
    if not math.isnan(found.low):
        assert 0 <= found.low <= found.high <= 1
    renamed = [r.model_copy(update={"cluster": f"x{r.cluster}"}) for r in records]
    np.testing.assert_equal(estimate(renamed, resamples=200), found)
    np.testing.assert_equal(estimate(records, resamples=200), found)


# Comparisons


DISCORDANT = [
    (0, 0), (1, 0), (5, 0), (6, 1), (8, 3), (5, 5), (12, 4), (20, 4), (13, 12), (25, 10), (40, 15),
    (60, 60),
]  # fmt: skip


@pytest.mark.parametrize(("only_first", "only_second"), DISCORDANT)
def test_mcnemar_matches_its_references(only_first: int, only_second: int) -> None:
    first = np.array([True] * (only_first + 7) + [False] * (only_second + 3))
    second = np.array([False] * only_first + [True] * (7 + only_second) + [False] * 3)
    total, few = only_first + only_second, only_first + only_second < 25
    told = mcnemar(first, second)
    table = [[7, only_first], [only_second, 3]]
    assert told == pytest.approx(min(1.0, statsmodels_mcnemar(table, exact=few).pvalue))
    if few:
        expected = scipy.stats.binomtest(only_first, total).pvalue if total else 1.0
    else:
        expected = scipy.stats.chi2.sf((abs(only_first - only_second) - 1) ** 2 / total, 1)
    assert told == pytest.approx(expected)


HOLM = [
    ([], []),
    ([0.04], [0.04]),
    ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
    ([0.5, 0.5], [1, 1]),
    ([0.01, 0.02], [0.02, 0.02]),
    ([0.02, 0.01], [0.02, 0.02]),
    ([0.001, 0.9, 0.9], [0.003, 1, 1]),
    ([0, 0.3], [0, 0.3]),
    ([0.01] * 5, [0.05] * 5),
    ([0.005, 0.011, 0.02, 0.04, 0.13], [0.025, 0.044, 0.06, 0.08, 0.13]),
    ([1, 1, 1], [1, 1, 1]),
]


@pytest.mark.parametrize(("p", "expected"), HOLM)
def test_holm_by_hand(p: list[float], expected: list[float]) -> None:
    assert holm(p) == pytest.approx(expected)


FLIPS = [
    ([], 1.0),
    ([0, 0, 0], 1.0),
    ([1], 1.0),
    ([1, 1], 0.5),
    ([1, 1, 0], 0.5),
    ([1, 1, 1], 0.25),
    ([1, -1], 1.0),
    ([1, 1, 1, 1, 1], 2 / 32),
    ([2, 1, -1], 0.75),
    ([3, 1, 1, -1], 0.5),
    ([0.1, 0.1, 0.1, 0.1], 2 / 16),
]


@pytest.mark.parametrize(("sums", "expected"), FLIPS)
def test_sign_flips_by_hand(sums: list[float], expected: float) -> None:
    assert sign_flip_p(np.array(sums, dtype=float)) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_sign_flips_match_scipys_permutation_test(seed: int) -> None:
    sums = np.random.default_rng(seed).normal(0.4, 1, 10)
    reference = scipy.stats.permutation_test(
        (sums, np.zeros(10)), lambda a, b: (a - b).mean(), permutation_type="samples"
    )
    assert sign_flip_p(sums) == pytest.approx(reference.pvalue)
    many = np.random.default_rng(seed).normal(0.25, 1, 40)
    expected = scipy.stats.permutation_test(
        (many, np.zeros(40)), lambda a, b: (a - b).mean(), permutation_type="samples", rng=1
    )
    assert sign_flip_p(many, 20_000) == pytest.approx(expected.pvalue, abs=0.02)


def test_differences_that_are_not_there_are_seldom_found() -> None:
    rng, found = np.random.default_rng(5), 0
    for _ in range(300):
        clusters = np.repeat(np.arange(40), 3)
        ease = np.repeat(rng.beta(2, 1, 40), 3)
        first, second = ((rng.random(120) < ease).astype(float) for _ in range(2))
        sums = cluster_sums((first - second)[:, None], clusters.tolist())[:, 0]
        found += sign_flip_p(sums, 1000) <= 0.05
    assert found / 300 <= 0.08


def test_comparison_of_two_runs_by_hand() -> None:
    first = run([1, 1, 1, 1, 0, 0], subject="agent")
    second = [*run([1, 0, 0, 0, 0, 1], subject="endpoint")[:5], record(9, 1.0, subject="endpoint")]
    told = compare(first, second)
    assert (told.difference, told.n, told.only_first, told.only_second) == (
        pytest.approx(0.6), 5, 1, 1
    )  # fmt: skip
    assert told.p == told.p_mcnemar == pytest.approx(0.25)
    assert told.low <= 0.6 <= told.high
    mirrored = compare(second, first)
    assert mirrored.difference == pytest.approx(-0.6)
    assert (mirrored.p, mirrored.p_mcnemar) == (told.p, told.p_mcnemar)


def test_a_failure_loses_against_a_right_answer() -> None:
    told = compare([record(1, None), record(2, 1.0)], run([0, 1, 1], subject="other"))
    assert (told.difference, told.n, told.only_second) == (-0.5, 2, 1)


def test_runs_that_are_equal_are_not_proven_equal() -> None:
    told = compare(run([1, 0, 1, 0, 1]), run([1, 0, 1, 0, 1]))
    assert (told.difference, told.p, told.p_mcnemar) == (0, 1, 1)
    assert told.low == -told.high < -0.5
    assert "no variation" in told.note


def test_partly_right_answers_have_no_mcnemar() -> None:
    assert compare(run([0.5, 1]), run([1, 1])).p_mcnemar is None


def test_runs_without_a_shared_item_are_refused() -> None:
    with pytest.raises(InputError, match="share no item"):
        compare(run([1.0]), run([1.0], benchmark="another"))


def sliced(values: Callable[[int], float], subject: str) -> list[Record]:
    slices: list[dict[str, str]] = [{"modality": "CT"}, {"modality": "MR"}, {}]
    return [
        record(number, values(number), subject=subject, slices=slices[number % 3])
        for number in range(80)
    ]


def test_slices_lose_no_item_and_correct_their_p() -> None:
    first = sliced(lambda i: float(i % 3 != 1), "a")
    second = sliced(lambda i: 0.0, "b")
    table = by_slice(first, "modality")
    assert list(table) == ["CT", "MR", NOT_GIVEN]
    assert [row.n for row in table.values()] == [27, 27, 26]
    assert [row.mean for row in table.values()] == [1, 0, 1]
    compared = compare_by_slice(first, second, "modality")
    assert [row.difference for row in compared.values()] == [1, 0, 1]
    alone = compare(*([r for r in rows if r.slices.get("modality") == "CT"]
                      for rows in (first, second)))  # fmt: skip
    assert compared["CT"].p == pytest.approx(3 * alone.p)
    assert compared["MR"].p == 1
    assert (compared["CT"].low, compared["CT"].n) == (alone.low, alone.n)


# Power


POWER = [
    (0.01, 0.8, 0.05), (0.02, 0.8, 0.05), (0.05, 0.8, 0.05), (0.1, 0.8, 0.05), (0.3, 0.8, 0.05),
    (0.02, 0.9, 0.05), (0.02, 0.95, 0.05), (0.02, 0.8, 0.01), (0.02, 0.8, 0.1), (0.02, 0.5, 0.05),
]  # fmt: skip


@pytest.mark.parametrize(("error", "power", "significance"), POWER)
def test_smallest_difference_matches_statsmodels(error, power, significance) -> None:
    # One sample of n = 1 / error^2 with unit variance has that standard error.
    expected = NormalIndPower(ddof=0).solve_power(
        nobs1=1 / error**2, alpha=significance, power=power, ratio=0
    )
    assert smallest_difference(error, power, significance) == pytest.approx(expected, rel=1e-3)


def test_notes_warn_where_there_is_little() -> None:
    assert "rough" in power_note(200, 29, 0.05) and "200 items from 29 cases" in power_note(
        200, 29, 0.05
    )
    assert "rough" not in power_note(200, 30, 0.05)
    assert "below 0.14 would be missed" in power_note(200, 200, 0.05)
    assert estimate(run([0.0, 1.0] * 200)).note.startswith("400 items: a true difference below 0.0")


# Fairness


def people(rates: dict[str, float], each: int, seed: int = 0) -> list[Record]:
    rng = np.random.default_rng(seed)
    return [
        record(f"{group}{i}", float(rng.random() < rate), f"{group}{i // 2}", slices={"sex": group})
        for group, rate in rates.items()
        for i in range(each)
    ]


def test_gaps_between_groups_by_hand_and_by_draws() -> None:
    records = people({"F": 0.5, "M": 0.9, "X": 0.1}, 200) + people({"O": 0.0}, 10)
    (found,) = fairness(records)
    assert (found.attribute, found.best, list(found.groups)) == ("sex", "M", ["F", "M", "X"])
    assert {name: mean.n for name, mean in found.small.items()} == {"O": 10}
    assert found.groups == {name: by_slice(records, "sex")[name] for name in "FMX"}
    assert list(found.behind) == ["F", "X"]
    for name, behind in found.behind.items():
        assert behind.gap == pytest.approx(found.groups["M"].mean - found.groups[name].mean)
        assert 0.2 < behind.low < behind.gap < behind.high < 1
    (alone,) = fairness([r for r in records if r.slices["sex"] in "MX"])
    one, of_three = alone.behind["X"], found.behind["X"]
    assert one.gap == of_three.gap
    assert one.high - one.low < of_three.high - of_three.low  # three pairs are looked at, not one


def test_groups_alike_rarely_show_a_gap() -> None:
    shown = 0
    for seed in range(40):
        (found,) = fairness(people(dict.fromkeys("ABCD", 0.7), 80, seed))
        shown += any(behind.low > 0 for behind in found.behind.values())
    assert shown <= 5


def test_too_few_patients_are_shown_and_not_ranked() -> None:
    records = people({"F": 0.5, "M": 0.9}, 40)  # 20 patients each
    (found,) = fairness(records)
    assert (found.best, found.groups, found.behind) == (None, {}, {})
    assert found.small == by_slice(records, "sex")
    assert fairness(records, least=20)[0].best == "M"
    assert fairness(records, attributes=("scanner",)) == []


def test_a_group_says_what_it_could_show() -> None:
    records = people({"F": 0.5, "M": 0.9}, 80) + people({"O": 0.5}, 20)
    (found,) = fairness(records)
    assert list(found.could_show) == ["F", "M", "O"]
    rest = estimate([r for r in records if r.slices["sex"] != "O"]).standard_error
    error = math.hypot(found.small["O"].standard_error, rest)
    assert found.could_show["O"] == smallest_difference(error)
    assert found.could_show["O"] > found.could_show["M"]
    (same,) = fairness(people({"O": 1.0, "F": 0.5}, 20))
    assert math.isnan(same.could_show["O"])
    (one,) = fairness([record("1", 1.0, 1, slices={"sex": "F"})])
    assert math.isnan(one.could_show["F"])


def test_an_attribute_that_is_not_given_is_never_ranked() -> None:
    records = people({"F": 0.5, "M": 0.9}, 80)
    records += [record(f"n{number}", 1.0, f"n{number}") for number in range(80)]
    (found,) = fairness(records)
    assert (list(found.groups), list(found.small), found.best) == (["F", "M"], [NOT_GIVEN], "M")


def test_groups_that_are_all_right_are_not_alike_beyond_doubt() -> None:
    """31 of 31 and 40 of 40: by Clopper and Pearson, squared and added; by hand."""
    rows = [
        record(f"{sex}{number}", 1.0, f"{sex}{number}", slices={"sex": sex})
        for sex, many in (("F", 40), ("M", 31))
        for number in range(many)
    ]
    (found,) = fairness(rows)
    (behind,) = found.behind.values()
    assert behind.gap == 0
    assert found.best == "F"
    assert behind.low == pytest.approx(-(1 - 0.025 ** (1 / 40)))
    assert behind.high == pytest.approx(1 - 0.025 ** (1 / 31))
    mixed = [*rows, *people({"X": 0.6}, 120)]
    gap = fairness(mixed)[0].behind["X"]
    assert 0 < gap.low < gap.gap < gap.high <= 1


def test_a_patient_of_two_groups_is_drawn_with_both() -> None:
    """Scanners that read the same patients: their gap hardly varies, though patients do."""
    rng, records = np.random.default_rng(3), []
    for patient in range(60):
        easy = float(rng.random() < 0.5)
        for scanner in ("one", "two"):
            item = f"{patient}{scanner}"
            records.append(record(item, easy, patient, slices={"scanner": scanner}))
    (behind,) = fairness(records)[0].behind.values()
    assert (behind.gap, behind.low, behind.high) == (0, 0, 0)
