from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.evals.benchmarks.choices import (
    answer_place,
    read_choices,
    read_columns,
    split_inline,
)
from overread.evals.benchmarks.spelled import spelled
from overread.imaging.errors import InputError

words = st.text("abcdefgh xyz'\"é,", min_size=1, max_size=20).map(str.strip).filter(bool)
texts = st.lists(words, min_size=2, max_size=8)


@given(texts)
def test_a_list_reads_the_same_however_it_is_spelled(options: list[str]) -> None:
    wanted = list(zip(ascii_uppercase, options, strict=False))
    as_object = dict(reversed(wanted))
    for value in (options, tuple(options), repr(options), as_object, repr(as_object)):
        assert read_choices(value) == wanted
    assert read_choices("|".join(options)) == wanted
    assert read_columns(options) == wanted


@given(texts, st.sampled_from([" {}:{}", "{}. {}", "({}) {}", "{}) {}"]))
def test_labels_that_every_option_carries_are_taken_off(options: list[str], style: str) -> None:
    labelled = [style.format(a, text) for a, text in zip(ascii_uppercase, options, strict=False)]
    assert read_columns(labelled) == read_columns(options)


@given(texts, st.sampled_from(["({}) ", "{}) ", "{}. ", "{}: "]), st.sampled_from([" ", "\n"]))
def test_inline_options_come_out_as_they_went_in(
    options: list[str], style: str, between: str
) -> None:
    parts = [style.format(a) + text for a, text in zip(ascii_uppercase, options, strict=False)]
    stem, found = split_inline("Does vitamin A. help here?" + between + between.join(parts))
    assert (stem, [text for _, text in found]) == ("Does vitamin A. help here?", options)


@given(texts, st.data())
def test_a_letter_finds_its_option_in_every_dress(options: list[str], data: st.DataObject) -> None:
    choices = read_columns(options)
    place = data.draw(st.integers(0, len(choices) - 1))
    letter = choices[place][0]
    for written in (letter, f"({letter})", f"{letter}.", f" {letter}) ", letter.lower(),
                    f"{letter}) {choices[place][1]}"):  # fmt: skip
        assert answer_place(written, choices, "letter") == place


@given(st.text(max_size=200))
def test_text_is_parsed_or_comes_back_but_never_fails(text: str) -> None:
    assert spelled(text) == text or text.strip()[:1] in ("[", "{")


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (None, []),
        ("", []),
        ("[]", []),
        ("['a', None, 'c']", ["a", "c"]),
        ("yes; no", ["yes", "no"]),
        ("5;6 | 7", ["5;6", "7"]),
        ([1, 2.5], ["1", "2.5"]),
        ({"B": "b", "A": "a", "C": None}, ["a", "b"]),
        (["A: a", "b", "C: c"], ["A: a", "b", "C: c"]),
        ("[" * 5000, ["[" * 5000]),
    ],
)
def test_read_choices(value: Any, texts: list[str]) -> None:
    assert [text for _, text in read_choices(value)] == texts


def test_missing_options_leave_the_others_their_letters() -> None:
    choices = read_columns(["Yes", None, "No", ""])
    assert choices == [("A", "Yes"), ("C", "No")]
    assert answer_place("C", choices, "letter") == 1


@pytest.mark.parametrize(
    ("answer", "options", "written", "reason"),
    [
        ("F", ["x", "y"], "letter", r"'F' is none of its options \(A, B\)"),
        ("z", ["x", "y"], "text", "'z' is none of its options"),
        ("A", ["B", "A"], "either", "the letter of one option and the text of another"),
        ("x", ["X.", "x ", "x"], "text", "is the text of 2 options"),
        ("", ["x", "y"], "either", "none of its options"),
    ],
)
def test_a_bad_answer_is_refused(
    answer: str, options: list[str], written: Any, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        answer_place(answer, read_columns(options), written)


def test_too_many_or_strange_options_are_refused() -> None:
    with pytest.raises(InputError, match="27 options"):
        read_choices([str(n) for n in range(27)])
    with pytest.raises(InputError, match="dict, not text"):
        read_choices([{"a": 1}])
    with pytest.raises(InputError, match="int, not a list"):
        read_choices(3)
