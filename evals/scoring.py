"""Whether an answer in words says what the truth says. Word borders, never substrings."""

import re

from overread.imaging.phantoms.truth import Question

NUMBER_TOLERANCE = 0.2  # relative; as the size questions of medical VQA are commonly marked
_CITATION = re.compile(r"\[E\d+\]")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_NONE = re.compile(r"\b(?:none|normal|no abnormality|nothing abnormal)\b", re.IGNORECASE)


def is_correct(answer: str, question: Question) -> bool:
    """Mark an answer against a phantom's question.

    Closed: the option that stands first in the answer is the right one. Number: the first number
    is within 20 % (counts up to 10 must be exact). Open: every part of the truth is named.

    Args:
        answer: Free text; citations do not count.
        question: With its true answer.
    """
    text = _CITATION.sub(" ", answer)
    if question.answer_type == "number":
        return _number_is_right(text, question)
    if question.answer_type == "closed":
        return first_option(text, question.options) == question.answer
    if question.answer == "none":
        return bool(_NONE.search(text))
    return all(_place(text, part) is not None for part in question.answer.split(", "))


def first_option(text: str, options: tuple[str, ...]) -> str | None:
    """Return the option that is named first in a text, the longer one where two start together.

    >>> first_option("No, there is no nodule on the left.", ("yes", "no"))
    'no'
    """
    places = [
        (place, -len(option), option)
        for option in options
        if (place := _place(text, option)) is not None
    ]
    return min(places)[2] if places else None


def _place(text: str, words: str) -> int | None:
    found = re.search(rf"\b{re.escape(words)}\b", text, re.IGNORECASE)
    return found.start() if found else None


def _number_is_right(text: str, question: Question) -> bool:
    found = _NUMBER.search(text)
    if not found:
        return False
    said, true = float(found.group()), float(question.answer)
    if question.quantity == "count" and true <= 10:
        return said == true
    return abs(said - true) <= NUMBER_TOLERANCE * abs(true)
