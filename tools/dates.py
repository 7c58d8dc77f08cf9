"""When studies were done: days apart are true, the dates themselves are moved by de-identification."""

from collections.abc import Mapping
from datetime import date
from typing import Any

Header = Mapping[str, Any]


def taken(header: Header) -> date | None:
    """Return the day of a study, moved as all days of its patient are; None where no file tells it."""
    told = str(header.get("study_date") or "")
    return date.fromisoformat(told) if told else None


def apart(header: Header, other: Header) -> str:
    """Return when another study of the same patient was, as words; "" if that is not known.

    >>> now, then = {"study_date": "2019-05-02"}, {"study_date": "2019-04-30"}
    >>> apart(now, then), apart(then, now), apart(now, now), apart(now, {})
    ('2 days earlier', '2 days later', 'the same day', '')
    """
    here, there = taken(header), taken(other)
    if here is None or there is None:
        return ""
    days = (here - there).days
    if not days:
        return "the same day"
    return f"{abs(days)} day{'s' * (abs(days) != 1)} {'earlier' if days > 0 else 'later'}"
