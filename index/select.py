"""How many of the ranked contexts to keep. Pure; knows no index."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

GAMMA = 0.25
"""Default drop: keep going while each score is at least exp(-0.25) = 0.78 of the one before."""

FLOOR = 0.4
"""Default: below this cosine a neighbour has nothing in common with the query but being an image."""

CANDIDATES, CAP = 24, 8


@dataclass(frozen=True, slots=True)
class Cut:
    """Where to cut a ranked list.

    Attributes:
        gamma, floor: As in `adaptive`.
        fitted: Whether they were fitted to the index rather than being the defaults.
    """

    gamma: float = GAMMA
    floor: float = FLOOR
    fitted: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How cases are retrieved for a question.

    Attributes:
        selection: "adaptive", or "fixed": the first `fixed_k` of the ranked, whatever their scores.
        fixed_k: Positive.
        route: Search the image's own domain; otherwise all domains together, with the default
            embedder.
    """

    selection: Literal["adaptive", "fixed"] = "adaptive"
    fixed_k: int = 5
    route: bool = True

    def keep(self, scores: Sequence[float], cut: Cut) -> int:
        """Return how many of the best contexts to keep.

        Args:
            scores: Best first.
            cut: For the adaptive selection.
        """
        if self.selection == "fixed":
            return min(self.fixed_k, len(scores))
        return adaptive(scores, cut.gamma, cut.floor, CAP)


def adaptive(scores: Sequence[float], gamma: float, floor: float, cap: int) -> int:
    """Return how many of the best contexts to keep.

    Contexts below `floor` go first; the rest is kept up to the first drop
    log(s_i / s_{i+1}) > gamma, and never more than `cap`.

    Args:
        scores: Similarities, best first, shape (n,).
        gamma: Largest allowed drop of the natural logarithm between neighbours; not negative.
        floor: Smallest score worth keeping. Scores of zero or less are never kept, since their
            logarithm does not exist.
        cap: Largest number to keep; not negative.

    Raises:
        ValueError: `gamma` or `cap` is negative, or `scores` is not in descending order.

    Source: MMed-RAG (arXiv 2410.13085), adaptive retrieved context selection.

    >>> adaptive([0.9, 0.85, 0.3, 0.29], gamma=0.25, floor=0.2, cap=5)
    2
    """
    if gamma < 0 or cap < 0:
        raise ValueError(f"gamma and cap must not be negative, got {gamma} and {cap}")
    if any(after > before for before, after in pairwise(scores)):
        raise ValueError("scores must be in descending order")
    worthy = [score for score in scores[:cap] if score >= floor and score > 0]
    for i, (before, after) in enumerate(pairwise(worthy), start=1):
        if math.log(before / after) > gamma:
            return i
    return len(worthy)
