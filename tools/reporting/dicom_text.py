"""Words of people as DICOM takes them: what a value representation forbids is replaced, not cut.

Sentences, which may hold any character, keep the words as they were written.

Source: DICOM PS3.5, 6.2.
"""

import unicodedata

_LONGEST = 64
_KEPT = "\t\n\r"


def line(text: str) -> str:
    r"""Return text for a long string (LO): one line of at most 64 characters.

    A backslash would part it into two values; a slash stands for it. What is cut ends with "…".

    >>> line(r"cyst\lesion")
    'cyst/lesion'
    """
    plain = " ".join(_printable(text).replace("\\", "/").split())
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def person_name(name: str) -> str:
    r"""Return a name as a person name (PN) of one component, which "^" ends where there is room.

    "^" parts components, "=" alphabets and the backslash values; a space or a slash stands for them.

    >>> person_name(r"Reader^A. B\C")
    'Reader A. B/C^'
    """
    return f"{line(name.replace('^', ' ').replace('=', ' '))}^"[:_LONGEST]


def paragraph(text: str) -> str:
    """Return text for unlimited text (UT): as it is, but for control characters."""
    return _printable(text, _KEPT)


def _printable(text: str, kept: str = "") -> str:
    return "".join(
        " " if unicodedata.category(sign) == "Cc" and sign not in kept else sign for sign in text
    )
