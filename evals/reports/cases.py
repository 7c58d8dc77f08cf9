"""Which items a reader should look at: the worst answers and the failures."""

import random
from collections import Counter
from collections.abc import Sequence

from overread.evals.records import Record

WRONG_BELOW = 0.5
"""A score below it counts as wrong here; of a metric that is 0 or 1, that is 0."""


def worst(records: Sequence[Record], number: int, seed: int = 0) -> list[Record]:
    """Return the worst answers: wrong and surest first, then wrong ones drawn by the seed.

    An answer without a confidence cannot be ranked, so it is drawn; an abstention is the least
    bad way to be wrong and comes last. Failed items are not answers; see `failures`.

    Args:
        records: Of one run.
        number: At most so many.
        seed: Of the draw; the order of the records does not matter.
    """
    wrong = [row for row in records if row.status == "scored" and row.value < WRONG_BELOW]
    wrong.sort(key=lambda row: (row.item, row.epoch))
    random.Random(seed).shuffle(wrong)
    wrong.sort(key=_rank)
    return wrong[:number]


def _rank(row: Record) -> tuple[bool, bool, float]:
    return row.abstained, row.confidence is None, -(row.confidence or 0.0)


def failures(records: Sequence[Record]) -> list[Record]:
    """Return all items without a score, in the order of their ids."""
    failed = [row for row in records if row.status == "failed"]
    return sorted(failed, key=lambda row: (row.item, row.epoch))


def reasons(records: Sequence[Record]) -> list[tuple[str, int]]:
    """Return why items failed and how often, the most frequent reason first."""
    counts = Counter(row.reason for row in failures(records))
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
