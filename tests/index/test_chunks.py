import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.index.chunks import passages_of, sentences_of

texts = st.text(st.sampled_from("aB .!?\n3,éX"), max_size=400)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ("Nodule of 3.5 cm. No effusion.", ["Nodule of 3.5 cm.", "No effusion."]),
        ("Seen by Dr. Smith, e.g. Monday.", ["Seen by Dr. Smith, e.g. Monday."]),
        ('He said "Stop." Then left.', ['He said "Stop."', "Then left."]),
        ("Heading\n\nText\nbelow. More", ["Heading", "Text below.", "More"]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences_of(text) == expected


@given(texts, st.integers(1, 60), st.integers(0, 59))
def test_passages_are_bounded_and_lose_no_word(text: str, most: int, overlap: int) -> None:
    if overlap >= most:
        with pytest.raises(ValueError, match="overlap"):
            passages_of(text, most, overlap)
        return
    passages = passages_of(text, most, overlap)
    assert all(0 < len(passage) <= most for passage in passages)
    assert set("".join(text.split())) == set("".join("".join(passages).split()))
    if overlap == 0:
        assert "".join(text.split()) == "".join("".join(passages).split())


def test_passages_overlap_by_whole_sentences() -> None:
    text = "Aaaa aaaa. Bbbb bbbb. Cccc cccc. Dddd dddd."
    assert passages_of(text, most=22, overlap=0) == [
        "Aaaa aaaa. Bbbb bbbb.",
        "Cccc cccc. Dddd dddd.",
    ]
    assert passages_of(text, most=22, overlap=10) == [
        "Aaaa aaaa. Bbbb bbbb.",
        "Bbbb bbbb. Cccc cccc.",
        "Cccc cccc. Dddd dddd.",
    ]


def test_long_sentence_is_cut_between_words() -> None:
    assert passages_of("aaa bbb ccc ddd", most=7, overlap=0) == ["aaa bbb", "ccc ddd"]
    assert passages_of("aaaaaaaaaa", most=4, overlap=0) == ["aaaa", "aaaa", "aa"]
