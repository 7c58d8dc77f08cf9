"""Reading choices and closed answers: every way in which evaluators in use go wrong is a row."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.evals.metrics.closed import (
    choice_letter,
    closed_option,
    named_options,
    normalise,
    offered,
    same,
)

OPTIONS = ("cyst", "solid mass", "left lung nodule", "pneumonia")
YES_NO = ("yes", "no")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(b)", "B"),
        ("B.", "B"),
        ("B) solid mass", "B"),
        ("B solid mass", "B"),
        ("Option B", "B"),
        ("option (B) fits best", "B"),
        ("B, because of the T2 signal", "B"),
        ("B is correct.", "B"),
        ("A is the best answer", "A"),
        ("A, since it is dark", "A"),
        ("The answer is (C).", "C"),
        ("**Answer:** C", "C"),
        ("The correct option is: **D**", "D"),
        (r"So we get \boxed{C}.", "C"),
        (r"\boxed{\text{B}} it is, not A", "B"),
        ("<think>A? no, B.</think><answer>D</answer>", "D"),
        ("<answer>solid mass</answer>", "B"),
        ("<think>It may be A or C.</think>\nB", "B"),
        ("The lesion is dark and sharp.\nSome would say A.\nAnswer: B", "B"),
        ("The answer is A. Wait, the wall is thick. Final answer: B", "B"),
        ("Answer: B [E2]", "B"),
        ("Answer: CT shows B", "B"),
        ("I think B.", "B"),
        ("Solid mass", "B"),
        ("It is a left lung nodule.", "C"),
        ("Pneumonia, rather than a cyst.", "D"),
        ("Not a cyst but pneumonia.", "D"),
        ("Option A is wrong; option D is right.", "D"),
        ("The best one is most likely B", "B"),
        ("It's B, not A.", "B"),
        ("There is pneumonia. A cyst is not seen.", "D"),
        ("The signs suggest solid mass (B).", "B"),
    ],
)
def test_choice_is_read(text: str, letter: str) -> None:
    assert choice_letter(text, OPTIONS) == letter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "I cannot tell from this image.",
        "I'm sorry, but I can't help with medical images.",
        "A nodule is seen.",
        "a shadow",
        "DNA ",
        "I see an abnormal shadow",
        "It is not a cyst.",
        "A or B",
        "Either B or C.",
        "The answer is A or B",
        "The answer is not B.",
        "Neither A nor B.",
        "Option B is incorrect.",
        "cyst or pneumonia",
        "E",
        "The answer is Z",
        "A) cyst B) solid mass C) left lung nodule D) pneumonia",
        "A. cyst\nB. solid mass\nC. left lung nodule\nD. pneumonia",
        "vitamin B deficiency",
        "B-lines are seen",
        "pneumonic changes, cystic parts",
        "T1 and T2",
        "cystt",
    ],
)
def test_choice_is_never_guessed(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


def test_choice_with_options_that_hold_full_stops_and_letters() -> None:
    options = ("E. coli", "S. aureus. Gram positive", "hepatitis B", "none")
    assert choice_letter("E. coli", options) == "A"
    assert choice_letter("S. aureus. Gram positive", options) == "B"
    assert choice_letter("The answer is hepatitis B", options) == "C"


def test_choice_with_the_same_words_twice_is_not_decided_by_words() -> None:
    assert choice_letter("cyst", ("cyst", "cyst", "mass")) is None
    assert choice_letter("B", ("cyst", "cyst", "mass")) == "B"


@pytest.mark.parametrize(
    ("text", "question", "option"),
    [
        ("Yes", "", "yes"),
        ("yes.", "", "yes"),
        ("Yep", "", "yes"),
        ("No", "", "no"),
        ("NO.", "", "no"),
        ("Yes, there is an abnormality", "", "yes"),
        ("Yes, it is noted.", "", "yes"),
        ("No, there is no nodule on the left [E2].", "", "no"),
        ("Based on the image, yes.", "", "yes"),
        ("The answer is no.", "", "no"),
        (r"\boxed{No}", "", "no"),
        ("I would say: no", "", "no"),
        ("No evidence of pneumothorax.", "Is there a pneumothorax?", "no"),
        ("There is no pleural effusion.", "Is there an effusion?", "no"),
        ("A small effusion is present.", "Is there an effusion?", "yes"),
        ("No abnormality is seen.", "Is the heart normal?", "yes"),
        ("Normal.", "Is there an abnormality?", "no"),
        ("No evidence of rib notching", "Is rib notching present?", "no"),
        ("There is rib notching.", "Is there rib notching?", "yes"),
        ("The heart is enlarged.", "Does the image show cardiomegaly?", "yes"),
        ("B", "", "no"),
    ],
)
def test_yes_no_is_read(text: str, question: str, option: str) -> None:
    assert closed_option(text, YES_NO, question) == option


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("", "Is there a nodule?"),
        ("Normal.", "Is there a nodule?"),
        ("It cannot be determined.", "Is there a nodule?"),
        ("I cannot tell whether there is a nodule.", "Is there a nodule?"),
        ("Midline", "Is there a nodule?"),
        ("There is nothing known about it.", "Is there a nodule?"),
        ("Nodule", "Which side is affected?"),
        ("No evidence of effusion.", ""),
        ("No abnormality", "Is there a fracture?"),
        ("noted in the yesterday image", "Is there a fracture?"),
        ("It may be yes, it may be no.", "Is there a nodule?"),
    ],
)
def test_yes_no_is_never_guessed(text: str, question: str) -> None:
    assert closed_option(text, YES_NO, question) is None


@pytest.mark.parametrize(
    ("text", "options", "option"),
    [
        ("The eye is the right one.", ("left", "right"), "right"),
        ("Right kidney: the cyst is lower left.", ("liver", "right kidney"), "right kidney"),
        ("X-Ray", ("CT", "x ray", "MRI"), "x ray"),
        ("It's an Xray.", ("CT", "X-ray", "MRI"), None),
        ("xray", ("CT", "X-ray", "MRI"), "X-ray"),
        ("AP (not PA)", ("PA", "AP"), "AP"),
        ("left or right", ("left", "right"), None),
        ("Left; the right one is normal", ("left", "right"), "left"),
        ("It is not on the left but on the right.", ("left", "right"), "right"),
        ("5 to 10 %", ("under 5 %", "5 to 10 %", "over 20 %"), "5 to 10 %"),
        ("The left is absent, the right is there", ("left", "right"), "right"),
        ("over 20%", ("under 5 %", "5 to 10 %", "over 20 %"), "over 20 %"),
        ("leftmost", ("left", "right"), None),
        ("second", ("first", "second"), "second"),
        ("The image is a CT.", ("CT", "MRI"), "CT"),
        ("unknown", ("CT", "MRI"), None),
        ("Answer: MRI, since CT would be darker", ("CT", "MRI"), "MRI"),
    ],
)
def test_few_words_are_read(text: str, options: tuple[str, ...], option: str | None) -> None:
    assert closed_option(text, options) == option


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("Yes.", "yes", True),
        ("YEP", "yes", True),
        ("false", "no", True),
        ("X-Ray", "xray", True),
        ("Chest (PA)", "chest", True),
        ("(C)", "c", True),
        ("left lung", "left  lung.", True),
        ("left", "right", False),
        ("normal", "no", False),
        ("no", "not", False),
        ("", "no", False),
        ("T2", "T1", False),
    ],
)
def test_normalisation(left: str, right: str, equal: bool) -> None:
    assert same(left, right) is equal


def test_offered_alternatives_and_named_options() -> None:
    assert offered("Is it on the left, right or both?") == ("left", "right", "both")
    assert offered("What is shown?") == ()
    assert named_options("left lung, not the heart", ("heart", "left", "left lung")) == [
        "left lung"
    ]


words = st.text(string.ascii_letters + " .,()-:\n[]{}\\", max_size=60)


@given(words)
def test_what_is_read_is_always_an_option(text: str) -> None:
    assert choice_letter(text, OPTIONS) in {None, "A", "B", "C", "D"}
    assert closed_option(text, ("left", "right")) in {None, "left", "right"}
    assert closed_option(text, YES_NO, text) in {None, "yes", "no"}
    assert normalise(normalise(text)) == normalise(text)


@given(st.sampled_from("ABCD"), st.sampled_from(["{}", "({})", "{}.", "Answer: {}", "It is {}."]))
def test_every_letter_is_read_in_every_form(letter: str, form: str) -> None:
    assert choice_letter(form.format(letter), OPTIONS) == letter


@given(st.sampled_from(OPTIONS))
def test_every_option_is_read_in_its_own_words(option: str) -> None:
    assert choice_letter(f"This is most likely {option}.", OPTIONS) == "ABCD"[OPTIONS.index(option)]
