"""From records to one value an item: epochs averaged, failures kept, clusters named."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from overread.evals.records import Record
from overread.imaging.errors import InputError

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ItemValue:
    """What an item scored, over all of its epochs.

    Attributes:
        key: Benchmark and item id.
        value: Mean over epochs.
        cluster: Benchmark and unit of the bootstrap; the item itself where it names none.
        slices: Of the item.
        failed: Whether an epoch failed.
    """

    key: Key
    value: float
    cluster: Key
    slices: Mapping[str, str]
    failed: bool


@dataclass(frozen=True, slots=True)
class Values:
    """All items of one subject under one metric.

    Attributes:
        items: In order of first appearance.
        without: Items that were scored, but not by this metric; they are in no mean.
    """

    items: tuple[ItemValue, ...]
    without: int


def values_of(
    records: Sequence[Record], metric: str | None = None, failed_as: float = 0.0
) -> Values:
    """Return one value an item: the mean over its epochs, so that seeds do not count as items.

    Args:
        records: Of one subject.
        metric: A name in `scores`; None takes each record's own `main`.
        failed_as: What a failed epoch counts as. For figures of which less is better (HD95,
            hallucination) give the worst, else a failure would look perfect.

    Raises:
        InputError: The records are of several subjects, or an epoch of an item comes twice.
    """
    if len(subjects := sorted({record.subject for record in records})) > 1:
        raise InputError(f"records of {' and '.join(subjects)} are mixed; give one subject's")
    seen: set[tuple[Key, int]] = set()
    by_item: dict[Key, list[Record]] = defaultdict(list)
    for record in records:
        key = (record.benchmark, record.item)
        if (key, record.epoch) in seen:
            raise InputError(
                f"item {record.item} of {record.benchmark} is there twice in epoch {record.epoch}; "
                "keep one record of each"
            )
        seen.add((key, record.epoch))
        by_item[key].append(record)
    found = [_item(key, epochs, metric, failed_as) for key, epochs in by_item.items()]
    items = tuple(item for item in found if item is not None)
    return Values(items, len(found) - len(items))


def _item(
    key: Key, epochs: Sequence[Record], metric: str | None, failed_as: float
) -> ItemValue | None:
    told = []
    for record in epochs:
        if record.status == "failed":
            told.append(failed_as)
        elif metric is None:
            told.append(record.value)
        elif metric in record.scores:
            told.append(record.scores[metric])
    if not told:
        return None
    first = epochs[0]
    failed = any(record.status == "failed" for record in epochs)
    cluster = (first.benchmark, first.cluster or f"item {first.item}")
    return ItemValue(key, sum(told) / len(told), cluster, first.slices, failed)
