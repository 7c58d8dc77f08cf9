from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.imaging.errors import InputError
from overread.index.embedder import Embedder
from overread.index.records import CaseRecord
from overread.index.select import Cut
from overread.index.store import CaseIndex
from overread.index.tuning import GAMMAS, Query, agreement, fit, mean_f1, tune
from tests.index.conftest import picture

A, B = frozenset({"a"}), frozenset({"b"})


def test_agreement_by_hand() -> None:
    query = Query(frozenset({"a", "b"}), ((0.9, frozenset({"a", "b"})), (0.8, A), (0.7, B)))
    assert agreement(query, 1) == 1.0
    assert agreement(query, 2) == pytest.approx(2 / 3)  # only "a" is carried by more than half
    assert agreement(query, 3) == 1.0
    assert agreement(query, 0) == 0.0
    assert agreement(Query(A, ((0.9, frozenset()),)), 1) == 0.0


def test_fit_finds_the_drop_after_which_cases_are_others() -> None:
    # log(0.9 / 0.88) = 0.022 within the right ones; log(0.85 / 0.8) = 0.061 before the wrong ones.
    scores = [0.9, 0.88, 0.85, 0.8, 0.79, 0.78, 0.77, 0.76]
    query = Query(A, tuple((score, A if score > 0.82 else B) for score in scores))
    cut = fit([query] * 5)
    assert mean_f1([query], cut) == 1.0
    assert 0.0 <= cut.gamma <= 0.7 and cut.fitted
    assert mean_f1([query], Cut()) == 0.0, "the default keeps all, and most are wrong"


pairs = st.tuples(st.floats(0.01, 1.0), st.sampled_from([A, B, frozenset()]))
queries = st.builds(
    Query,
    st.sampled_from([A, B]),
    st.lists(pairs, max_size=10).map(lambda rows: tuple(sorted(rows, key=lambda r: -r[0]))),
)


@given(st.lists(queries, min_size=1, max_size=8))
def test_what_is_fitted_is_at_least_as_good_as_the_defaults(asked: list[Query]) -> None:
    cut = fit(asked)
    assert cut.fitted
    assert mean_f1(asked, Cut()) - 1e-9 <= mean_f1(asked, cut) <= 1
    if (cut.gamma, cut.floor) != (Cut().gamma, Cut().floor):
        assert cut.gamma in GAMMAS
        assert all(mean_f1(asked, Cut(g, cut.floor)) <= mean_f1(asked, cut) + 1e-9 for g in GAMMAS)


def test_a_gain_by_chance_changes_nothing() -> None:
    """One query of twelve gains from a cut; the others do as well with the defaults."""
    same = Query(A, ((0.9, A), (0.8, A), (0.75, A)))
    odd = Query(A, ((0.9, A), (0.8, B), (0.75, B)))
    assert fit([*[same] * 11, odd]) == Cut(fitted=True)
    assert mean_f1([*[same] * 11, odd], Cut()) < 1.0


def labelled(tiny: Embedder, folder: Path, patients: int) -> CaseIndex:
    """Two kinds of cases in two directions, some near the border."""
    rng = np.random.default_rng(3)
    records, vectors = [], []
    for number in range(patients):
        kind = number % 2
        vector = np.zeros(tiny.dim)
        vector[kind] = 1.0
        vector += rng.normal(0, 0.12, tiny.dim)
        vectors.append((vector / np.linalg.norm(vector)).astype(np.float32))
        records.append(
            CaseRecord(
                view=picture(number),
                ref=f"st-{number}/s0/i0",
                study_id=f"st-{number}",
                patient_id=f"pt-{number}",
                domain="chest-xray",
                labels=("mass",) if kind else ("cyst",),
            )
        )
    index = CaseIndex.open(folder / "index", tiny, create=True, passages="tower")
    index.add(records, vectors)
    return index


def test_tuning_asks_cases_without_their_patients(tiny: Embedder, tmp_path: Path) -> None:
    index = labelled(tiny, tmp_path, 60)
    tuned = tune(index, "chest-xray")
    assert tuned.queries == 60 and tuned.cut.fitted
    assert tuned.f1 > 0.9
    assert 0 < tuned.kept <= 8 and tuned.abstained < 0.5
    assert tune(index, "chest-xray") == tuned, "the same index gives the same cut"


def test_too_few_labelled_patients_are_said(tiny: Embedder, tmp_path: Path) -> None:
    index = labelled(tiny, tmp_path, 8)
    with pytest.raises(InputError, match="8 patients with labelled cases"):
        tune(index, "chest-xray")
    with pytest.raises(InputError, match="fundus has 0 patients"):
        tune(index, "fundus")
