"""Which image is the latest: what the dates of one patient's studies tell, not the order of images."""

from collections.abc import Sequence

from overread.tools.base import Evidence


def latest(entry: Evidence, evidence: Sequence[Evidence]) -> bool | None:
    """Return whether an entry is about its patient's latest image; None if no dates tell.

    Args:
        entry: About one image.
        evidence: All of the session; what intake read from the files is among it.
    """
    taken = {
        other.arguments.get("image"): (other.values.get("patient"), str(other.values["study_date"]))
        for other in evidence
        if other.tool == "intake" and other.values.get("study_date")
    }
    own = taken.get(entry.arguments.get("image"))
    if own is None:
        return None
    others = [date for patient, date in taken.values() if patient == own[0] and date != own[1]]
    return own[1] > max(others) if others else None
