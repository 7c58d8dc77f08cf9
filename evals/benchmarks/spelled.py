"""Lists and objects that a table spells as text. They are parsed, never evaluated."""

import ast
import json
from typing import Any

MAX_CHARACTERS = 100_000  # a longer "list" is not one


def spelled(text: str) -> Any:
    """Read a list or an object that is spelled as text; anything else comes back as it is.

    >>> spelled("['8', 'eight']"), spelled("[normal heart]")
    (['8', 'eight'], '[normal heart]')
    """
    inside = text.strip()
    if inside[:1] not in ("[", "{") or len(inside) > MAX_CHARACTERS:
        return text
    for read in (json.loads, ast.literal_eval):
        try:
            return read(inside)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return text
