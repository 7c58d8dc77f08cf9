"""Options of a question, in all the ways that benchmarks write them, and which one is the answer."""

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, Literal

from overread.evals.benchmarks.spelled import spelled
from overread.imaging.errors import InputError

Choice = tuple[str, str]
"""Label as the benchmark has it ("A") and text."""

_LETTER = re.compile(r"\(?([A-Za-z])\)?[.):]?")
_LETTERED = re.compile(r"\(?([A-Za-z])(?:\)|[.):])\s.*", re.DOTALL)  # "B) Left lung"
_STYLES = (r"\({}\)", r"{}\)", r"{}\.", r"{}:")


def read_choices(value: Any) -> list[Choice]:
    """Read options from one value: a list, an object of labels, or a text that spells either.

    A plain text is parted at bars, else at semicolons. Missing entries (None) do not count, but
    the others keep their labels.

    Raises:
        InputError: There are more than 26, or an entry is neither text nor number.
    """
    if isinstance(value, str):
        value = spelled(value)
    if value is None or value == "":
        return []
    if isinstance(value, Mapping):
        pairs = sorted((str(label).strip(), text) for label, text in value.items())
    elif isinstance(value, str):
        parts = value.split("|" if "|" in value else ";")
        pairs = list(_lettered(parts))
    elif isinstance(value, Sequence):
        pairs = list(_lettered(value))
    else:
        raise InputError(f"its options are {type(value).__name__}, not a list")
    return _without_own_labels(
        [(label, _text(text)) for label, text in pairs if text is not None and text != ""]
    )


def read_columns(values: Sequence[Any]) -> list[Choice]:
    """Read options that have a column each; an empty column is an option that does not exist.

    Raises:
        InputError: A value is neither text nor number.
    """
    pairs = [(label, "" if value is None else _text(value)) for label, value in _lettered(values)]
    return _without_own_labels([(label, text) for label, text in pairs if text])


def split_inline(question: str) -> tuple[str, list[Choice]]:
    """Part a question from the options at its end, written "(A) ", "A) ", "A. " or "A: ".

    The run of consecutive letters that is longest counts, of equals the last one, so that a
    "vitamin A. " in the question is not taken for an option.

    >>> split_inline("Where is it? A) Left B) Right")
    ('Where is it?', [('A', 'Left'), ('B', 'Right')])
    """
    best: list[tuple[int, int]] = []
    for style in _STYLES:
        for first in re.finditer(rf"(?:^|(?<=\s)){style.format('A')}\s+", question):
            run = [first.span()]
            for letter in ascii_uppercase[1:]:
                label = re.compile(rf"(?<=\s){style.format(letter)}\s+")
                if not (found := label.search(question, run[-1][1])):
                    break
                run.append(found.span())
            if len(run) > 1 and len(run) >= len(best):
                best = run
    if not best:
        return question.strip(), []
    ends = [start for start, _ in best[1:]] + [len(question)]
    texts = [question[start:end].strip() for (_, start), end in zip(best, ends, strict=True)]
    return question[: best[0][0]].strip(), list(zip(ascii_uppercase, texts, strict=False))


def answer_place(
    answer: str, choices: Sequence[Choice], written: Literal["letter", "text", "either"]
) -> int:
    """Return which option an answer means, counted from 0.

    Args:
        answer: A letter, perhaps as "(B)" or "B.", or an option's text.
        choices: Not empty.
        written: Which of the two it is.

    Raises:
        InputError: It is none of the options, or may be two of them.
    """
    letters = {label.upper(): place for place, (label, _) in enumerate(choices)}
    by_letter = by_text = None
    found = _LETTER.fullmatch(answer.strip())
    if written == "letter":
        found = found or _LETTERED.fullmatch(answer.strip())
    if found and written != "text":
        by_letter = letters.get(found[1].upper())
    if written != "letter":
        by_text = _place_of_text(answer, choices)
    found_places = {place for place in (by_letter, by_text) if place is not None}
    if len(found_places) == 1:
        return found_places.pop()
    labels = ", ".join(label for label, _ in choices)
    if found_places:
        raise InputError(
            f"its answer '{answer}' is the letter of one option and the text of another"
        )
    raise InputError(f"its answer '{answer}' is none of its options ({labels})")


def _place_of_text(answer: str, choices: Sequence[Choice]) -> int | None:
    for same in (str.strip, _plain):
        places = [place for place, (_, text) in enumerate(choices) if same(text) == same(answer)]
        if len(places) == 1:
            return places[0]
        if places:
            raise InputError(f"its answer '{answer}' is the text of {len(places)} options")
    return None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _lettered(values: Sequence[Any]) -> list[tuple[str, Any]]:
    if len(values) > len(ascii_uppercase):
        raise InputError(f"it has {len(values)} options; at most 26 have letters")
    return list(zip(ascii_uppercase, values, strict=False))


def _text(value: Any) -> str:
    if not isinstance(value, str | int | float):
        raise InputError(f"one of its options is {type(value).__name__}, not text")
    return str(value).strip()


def _without_own_labels(choices: list[Choice]) -> list[Choice]:
    """Take "A:" off the texts where every option carries its own label."""
    matches = [
        re.match(rf"\(?{re.escape(label)}\)?[:.)]\s*(?=\S)", text, re.IGNORECASE)
        for label, text in choices
    ]
    if not matches or not all(matches):
        return choices
    return [
        (label, text[found.end() :])
        for (label, text), found in zip(choices, matches, strict=True)
        if found
    ]
