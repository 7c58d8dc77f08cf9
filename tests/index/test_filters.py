from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.imaging.errors import InputError
from overread.index.filters import Exclude, Filters
from overread.index.records import Hit

ages = st.none() | st.tuples(st.none() | st.integers(0, 50), st.none() | st.integers(50, 99))
dates = st.none() | st.tuples(
    st.none() | st.integers(19000101, 20000101), st.none() | st.integers(20000101, 20991231)
)
filters_ = st.builds(
    Filters,
    modality=st.none() | st.sampled_from(["CT", "cr", "MR"]),
    body_part=st.none() | st.sampled_from(["chest", "Head"]),
    labels=st.lists(st.sampled_from(["nodule", "Effusion"]), unique=True).map(tuple),
    age=ages,
    sex=st.none() | st.sampled_from(["F", "m", "O"]),
    date=dates,
)
cases = st.fixed_dictionaries(
    {
        "modality": st.sampled_from(["CT", "CR", "MR"]),
        "body_part": st.sampled_from(["chest", "head"]),
        "labels": st.lists(st.sampled_from(["nodule", "effusion", "mass"]), unique=True),
    },
    optional={
        "age": st.floats(0, 99),
        "sex": st.sampled_from(["F", "M", "O"]),
        "date": st.integers(19000101, 20991231),
    },
)


def passes(case: dict[str, Any], clause: dict[str, Any] | None) -> bool:
    """What Chroma documents of its clauses, in a few lines."""
    if clause is None:
        return True
    if "$and" in clause:
        assert len(clause["$and"]) > 1, "Chroma refuses a conjunction of one"
        return all(passes(case, part) for part in clause["$and"])
    ((name, wanted),) = clause.items()
    if name not in case:
        return False
    if not isinstance(wanted, dict):
        return bool(case[name] == wanted)
    ((operator, value),) = wanted.items()
    return {
        "$contains": lambda: value in case[name],
        "$gte": lambda: case[name] >= value,
        "$lte": lambda: case[name] <= value,
    }[operator]()


@given(filters_, cases)
def test_a_clause_lets_through_what_has_all_the_facts(filters: Filters, case: dict) -> None:
    wanted = (
        (filters.modality is None or case["modality"] == filters.modality.upper())
        and (filters.body_part is None or case["body_part"] == filters.body_part.lower())
        and {label.lower() for label in filters.labels} <= set(case["labels"])
        and (filters.sex is None or case.get("sex") == filters.sex.upper())
    )
    for name, ends in (("age", filters.age), ("date", filters.date)):
        low, high = ends or (None, None)
        if low is not None or high is not None:
            value = case.get(name)
            wanted = wanted and value is not None
            wanted = wanted and (low is None or value >= low) and (high is None or value <= high)
    assert passes(case, filters.where()) == wanted
    if not filters:
        assert filters.where() is None


def test_ranges_that_end_before_they_begin_and_unknown_sexes_are_refused() -> None:
    with pytest.raises(InputError, match="age filter ends at 40, before it begins at 60"):
        Filters(age=(60, 40))
    with pytest.raises(InputError, match="date filter"):
        Filters(date=(20200101, 20190101))
    with pytest.raises(InputError, match="must be F, M or O, not 'X'"):
        Filters(sex="X")


words = st.sampled_from(["", "a", "b"])


@given(words, words, words, words, words, words)
def test_exclusions_hold_for_each_of_their_words(
    patient: str, study: str, pixels: str, own_patient: str, own_study: str, own_pixels: str
) -> None:
    facts = {"patient_id": patient, "study_id": study, "pixels": pixels}
    hit = Hit.from_metadata("i", 0.5, facts)
    exclude = Exclude(own_patient, own_study, own_pixels)
    shared = any(
        own and own == its
        for own, its in zip((own_patient, own_study, own_pixels), facts.values(), strict=True)
    )
    assert exclude.allows(hit) != shared
