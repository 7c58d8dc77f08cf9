"""Which findings a study shows, and how large they have become since the first visit."""

from collections.abc import Mapping

import numpy as np

from overread.imaging.phantoms.seeds import Case, stream

NORMAL_SHARE = 0.35
_SMALLEST, _LARGEST = 0.5, 1.9


def plan(case: Case, weights: Mapping[str, float]) -> dict[str, float]:
    """Return the findings of a visit with their size relative to the patient's own first size.

    Args:
        case: The study.
        weights: Relative frequency of each finding that the domain knows.
    """
    rng = case.anatomy("plan")
    names = list(weights)
    scales: dict[str, float] = {}
    if rng.random() >= NORMAL_SHARE:
        number = min(1 + int(rng.choice(3, p=(0.58, 0.29, 0.13))), len(names))
        chance = np.array(list(weights.values()), dtype=np.float64)
        chosen = rng.choice(len(names), number, replace=False, p=chance / chance.sum())
        scales = {names[i]: 1.0 for i in sorted(int(i) for i in chosen)}
    for visit in range(1, case.visit + 1):
        scales = _follow_up(scales, names, stream(case.domain, case.patient, "course", visit))
    return scales


def _follow_up(
    scales: dict[str, float], names: list[str], rng: np.random.Generator
) -> dict[str, float]:
    after: dict[str, float] = {}
    for name in names:
        fate, factor, appears = rng.random(), rng.uniform(1.4, 1.75), rng.random()
        if name not in scales:
            if appears < 0.12:
                after[name] = 1.0
        elif fate < 0.3:
            after[name] = min(scales[name] * factor, _LARGEST)
        elif fate < 0.6:
            after[name] = max(scales[name] / factor, _SMALLEST)
        elif fate < 0.86:
            after[name] = scales[name]
    return after
