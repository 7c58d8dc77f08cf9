import pytest

from overread.evals.phantom_questions import is_correct
from overread.imaging.phantoms.truth import Question


def closed(answer: str, *options: str) -> Question:
    return Question("?", answer, "closed", "presence", options)


@pytest.mark.parametrize(
    ("text", "question", "right"),
    [
        ("No, there is no nodule on the left [E2].", closed("no", "yes", "no"), True),
        ("Yes, there is [E2].", closed("no", "yes", "no"), False),
        ("There is nothing known about it.", closed("no", "yes", "no"), False),
        ("The eye is the right one.", closed("right", "left", "right"), True),
        (
            "Right kidney: the cyst is lower left.",
            closed("right kidney", "liver", "right kidney"),
            True,
        ),
        ("", closed("yes", "yes", "no"), False),
        ("Midline", closed("no", "yes", "no"), False),
    ],
)
def test_closed(text: str, question: Question, right: bool) -> None:
    assert is_correct(text, question) is right


@pytest.mark.parametrize(
    ("text", "true", "quantity", "right"),
    [
        ("The ratio is 0.54 [E3].", "0.50", "width_ratio", True),
        ("[E2] 61", "50.0", "long_axis", False),
        ("60.0 mm", "50.0", "long_axis", True),
        ("The count is 5 [E2].", "4", "count", False),
        ("The count is 44.", "40", "count", True),
        ("Image1 shows none", "1", "count", False),
        ("no number", "3", "area", False),
    ],
)
def test_number(text: str, true: str, quantity: str, right: bool) -> None:
    assert is_correct(text, Question("?", true, "number", "size", quantity=quantity)) is right


@pytest.mark.parametrize(
    ("text", "true", "right"),
    [
        ("Nodule on the left [E2]. Effusion [E3].", "effusion, nodule", True),
        ("Nodule on the left [E2].", "effusion, nodule", False),
        ("No abnormality was found [E2].", "none", True),
        ("Abnormality: nodule", "none", False),
        ("This is an X-ray.", "X-ray", True),
    ],
)
def test_open(text: str, true: str, right: bool) -> None:
    assert is_correct(text, Question("?", true, "open", "presence")) is right
