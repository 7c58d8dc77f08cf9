"""Names of files that are made from words of a user."""

import hashlib
import re

_LONGEST = 60
"""Characters: with four bytes for each, an ending and a suffix still within the 255 of a file system."""


def file_name(words: str, suffix: str) -> str:
    """Return a name that words give a file: it holds no folder, is short, and differs for other words.

    Args:
        words: As they were said.
        suffix: With its dot: ".png".

    >>> file_name("mask of left lung", ".png")
    'mask-of-left-lung.png'
    >>> file_name("mask of ../../left lung", ".png")
    'mask-of-left-lung-ee88d7eb.png'
    """
    plain = re.sub(r"[^\w-]+", "-", words).strip("-")[:_LONGEST]
    if plain == words.replace(" ", "-"):
        return plain + suffix
    # Other words may have lost what told them from these.
    return f"{plain}-{hashlib.sha256(words.encode(errors='replace')).hexdigest()[:8]}{suffix}"
