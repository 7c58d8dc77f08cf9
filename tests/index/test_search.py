"""Keywords, and what stands in a list."""

from pathlib import Path

import pytest

from overread.index.chroma import connect
from overread.index.filters import Exclude, Filters
from overread.index.keywords import keywords
from overread.index.search import vectors_of, with_words

REPORTS = {
    "a": "Left pleural effusion. No pneumothorax.",
    "b": "PLEURAL EFFUSION on the right.",
    "c": "Massive cardiomegaly, no effusion.",
    "d": "Normal chest.",
    "e": "A mass in the upper zone.",
}


@pytest.fixture
def texts(tmp_path: Path):
    collection = connect(tmp_path / "texts").create_collection("texts", embedding_function=None)
    collection.add(
        ids=list(REPORTS),
        embeddings=[[1.0, float(i)] for i in range(len(REPORTS))],
        documents=list(REPORTS.values()),
        metadatas=[
            {"study_id": f"st-{key}", "patient_id": f"pt-{key}", "ref": key, "modality": "CR"}
            for key in REPORTS
        ],
    )
    return collection


def found(texts, words: str, **options: object) -> list[str]:
    return [hit.study_id[3:] for hit in with_words(texts, words, 9, **options)]  # type: ignore[arg-type]


def test_words_are_found_in_any_case_the_most_telling_first(texts) -> None:
    assert found(texts, "pleural effusion") == ["a", "b"]
    assert found(texts, "effusion") == ["a", "b"]
    scores = [hit.score for hit in with_words(texts, "pleural effusion", 9)]
    assert scores == [1.0, 1.0]


def test_a_passage_with_little_of_the_query_says_something_else(texts) -> None:
    assert found(texts, "effusion, massive cardiomegaly") == ["c"]
    assert found(texts, "effusion after thoracotomy and talc") == []
    assert found(texts, "of the on") == []


def test_what_a_passage_denies_counts_only_for_a_query_that_denies(texts) -> None:
    assert found(texts, "pneumothorax") == []
    assert found(texts, "without pneumothorax") == ["a"]
    assert found(texts, "no effusion") == ["a", "b", "c"]


def test_a_word_is_no_part_of_another(texts) -> None:
    assert found(texts, "plural") == []
    assert "c" not in found(texts, "ass")
    assert set(found(texts, "mass")) == {"c", "e"}, "words that begin alike count: masses, massive"


def test_filters_and_exclusions_hold_for_words(texts) -> None:
    assert found(texts, "effusion", exclude=Exclude(patient="pt-a")) == ["b"]
    assert found(texts, "effusion", filters=Filters(modality="MR")) == []


def test_words_of_a_query() -> None:
    assert keywords("Is there an effusion, and a T2-weighted mass? EFFUSION!") == [
        "effusion", "t2-weighted", "mass",
    ]  # fmt: skip


def test_vectors_of_absent_images_are_left_out(texts) -> None:
    assert set(vectors_of(texts, ["a", "zzz"])) == {"a"}
