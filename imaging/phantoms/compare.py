"""How a finding has changed since the prior study, judged from the two masks."""

from typing import Literal

import numpy as np

from overread.imaging.phantoms.drawn import Drawn

Change = Literal["larger", "smaller", "unchanged", "new", "resolved"]
CLEAR, SAME = 1.12, 1.07  # ratios of the mean diameter; between them the change is not asked about


def change(name: str, now: Drawn, prior: Drawn) -> Change | None:
    """Return the change of a masked finding; None when it is in neither or too slight to call."""
    if name not in now.masks and name not in prior.masks:
        return None
    if name not in prior.masks:
        return "new"
    if name not in now.masks:
        return "resolved"
    ratio = _diameter(now, name) / _diameter(prior, name)
    if ratio >= CLEAR:
        return "larger"
    if ratio <= 1 / CLEAR:
        return "smaller"
    return "unchanged" if 1 / SAME <= ratio <= SAME else None


def _diameter(drawn: Drawn, name: str) -> float:
    pixel = drawn.spacing_mm[0] * drawn.spacing_mm[1]
    return float(np.sqrt(np.count_nonzero(drawn.masks[name]) * pixel))
