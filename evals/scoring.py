"""Which option a text names first. Word borders, never substrings."""

import re


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
