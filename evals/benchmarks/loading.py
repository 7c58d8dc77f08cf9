"""Load a benchmark: find its copy, choose its items, make them."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from overread.agent.config import load_config
from overread.evals.benchmarks import fields
from overread.evals.benchmarks.building import build
from overread.evals.benchmarks.generated import phantom_items
from overread.evals.benchmarks.masks import mask_items
from overread.evals.benchmarks.place import Place, locate
from overread.evals.benchmarks.registry import spec as find_spec
from overread.evals.benchmarks.schema import Spec
from overread.evals.benchmarks.tables import Row, Table, open_table
from overread.evals.items import Item
from overread.imaging.errors import InputError
from overread.imaging.phantoms.truth import Split

DEFAULT_PHANTOMS = 1000


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is no item, and why: to be reported as failed, never forgotten."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Items to ask.

    Attributes:
        spec: What they are of.
        split: Which part; "" for all of it.
        items: In the order of their ids.
        left_out: Rows that could not be made an item; empty unless `load` was told to go on.
        rows: How many the split has, before a limit.
        filtered: How many rows of the table do not belong to the benchmark, e.g. another language.
    """

    spec: Spec
    split: str
    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...] = ()
    rows: int = 0
    filtered: int = 0


def load(
    name: str,
    place: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    work: Path | None = None,
    strict: bool = True,
) -> Benchmark:
    """Load a benchmark.

    Args:
        name: One of `names()`, or a TOML file.
        place: Folder of the local copy (a file for a benchmark of one table), or a hub id. Without
            it the benchmark's own hub id is taken: the hub's local cache, else a download.
        split: One of the benchmark's; its default if None.
        limit: Take a sample of so many, drawn by the hash of seed and id: it does not depend on the
            order of the copy, and a smaller sample is part of a larger one.
        seed: Of the sample; of the phantoms.
        work: Where embedded, zipped and generated images are written; the data folder if None.
        strict: Whether a row that cannot be used is an error. If not, it is in `left_out`.

    Raises:
        ConfigError: There is no such benchmark.
        InputError: The copy is missing, incomplete or wrong; no item is left.
    """
    spec = find_spec(name)
    if limit is not None and limit < 1:
        raise InputError(f"the limit is {limit}; give at least 1")
    split = spec.default_split if split is None else split
    if split not in spec.splits and not spec.split_column and spec.splits:
        raise InputError(
            f"{spec.title} has no split '{split}'; it has {', '.join(spec.splits) or 'none'}"
        )
    work = (work or load_config().data / "benchmarks") / spec.name
    if spec.source == "phantoms":
        number, readings = limit or DEFAULT_PHANTOMS, spec.readings
        items = phantom_items(number, seed, cast(Split, split), work, readings)
        return Benchmark(spec, split, _by_id(items), rows=len(items))
    root = locate(spec, place, split)
    if spec.source == "masks":
        if not root.is_dir():
            raise InputError(f"{root} is not a folder; give the one that holds images and masks")
        items, reasons = mask_items(root, split, spec)
        return _finish(spec, split, items, reasons, limit, seed, strict, root)
    return _from_rows(spec, root, split, limit, seed, work, strict)


def _from_rows(
    spec: Spec, root: Path, split: str, limit: int | None, seed: int, work: Path, strict: bool
) -> Benchmark:
    if root.is_file():
        place, files = Place(spec, root.parent, work), [root]
    else:
        place = Place(spec, root, work)
        files = place.tables(
            spec.splits[split if split in spec.splits else next(iter(spec.splits))]
        )
    tables = [open_table(file) for file in files]
    for table in tables:
        _check_columns(table, spec, split)
    ids, total = [], 0
    for _, row in _numbered(tables):
        total += 1
        ids.append(fields.identity(row, spec) if fields.belongs(row, spec, split) else None)
    names = _unique(ids, root)
    if not names:
        raise InputError(
            f"{root} holds no item of {spec.title}, split '{split or 'all'}'"
            + (f", in {total} rows" if total else "; its tables are empty")
        )
    chosen = {position: names[position] for position in _sample(names, limit, seed)}
    items, left_out = [], []
    for position, row in _numbered(tables):
        if position not in chosen:
            continue
        try:
            items.append(build(row, chosen[position], spec, place))
        except InputError as error:
            left_out.append(LeftOut(chosen[position], str(error)))
    return _checked(
        Benchmark(spec, split, _by_id(items), tuple(left_out), len(names), total - len(names)),
        strict,
        root,
    )


def _check_columns(table: Table, spec: Spec, split: str) -> None:
    """Refuse a table that lacks what every item needs.

    Raises:
        InputError: The message names the column and those that are there.
    """
    columns = spec.columns
    needed: list[tuple[str, ...]] = [columns.answer] if columns.answer else []
    if columns.question and not spec.ask:
        needed.append((columns.question,))
    if columns.images:
        needed.append(columns.images)
    if columns.sections:
        needed.append(tuple(columns.sections.values()))
    if spec.split_column and split:
        needed.append((spec.split_column,))
    needed += [(column,) for column in spec.where]
    for anyone in needed:
        tops = {column.split(".")[0] for column in anyone} | set(anyone)
        if not tops & table.columns:
            there = ", ".join(sorted(name for name in table.columns if not name.startswith("_")))
            raise InputError(
                f"{table.path} has no column {' or '.join(anyone)}, which {spec.title} needs; "
                f"it has {there or 'no rows'}"
            )


def _numbered(tables: list[Table]) -> Iterator[tuple[int, Row]]:
    position = 0
    for table in tables:
        for row in table.rows():
            yield position, row
            position += 1


def _unique(ids: list[str | None], root: Path) -> dict[int, str]:
    """Return the ids by the rows' positions.

    Raises:
        InputError: Two rows have one id of the benchmark's own. A row that is there twice and has
            no id of its own is asked twice, as its authors ask it.
    """
    seen: Counter[str] = Counter()
    unique: dict[int, str] = {}
    for position, item in enumerate(ids):
        if item is None:
            continue
        seen[item] += 1
        if seen[item] > 1 and not fields.is_hashed(item):
            raise InputError(f"{root} holds the id '{item}' twice; every item needs its own")
        unique[position] = item if seen[item] == 1 else f"{item}-{seen[item]}"
    return unique


def _sample(names: dict[int, str], limit: int | None, seed: int) -> list[int]:
    """Return the positions of a seeded sample, all of them without a limit."""

    def drawn(position: int) -> bytes:
        return hashlib.sha256(f"{seed}:{names[position]}".encode()).digest()

    return sorted(names, key=drawn)[:limit]


def _finish(
    spec: Spec,
    split: str,
    items: list[Item],
    reasons: dict[str, str],
    limit: int | None,
    seed: int,
    strict: bool,
    root: Path,
) -> Benchmark:
    """Sample items that were made together."""
    ids = dict(enumerate([*(item.id for item in items), *reasons]))
    kept = {ids[position] for position in _sample(ids, limit, seed)}
    left_out = tuple(LeftOut(item, why) for item, why in reasons.items() if item in kept)
    chosen = [item for item in items if item.id in kept]
    return _checked(Benchmark(spec, split, _by_id(chosen), left_out, len(ids)), strict, root)


def _checked(benchmark: Benchmark, strict: bool, root: Path) -> Benchmark:
    """Sort what was left out; refuse it if strict, or if nothing else is there.

    Raises:
        InputError: The message names the first row and counts the others.
    """
    left_out = tuple(sorted(benchmark.left_out, key=lambda row: row.id))
    if left_out and (strict or not benchmark.items):
        first, others = left_out[0], len(left_out) - 1
        more = f" (and {others} more rows like it)" if others else ""
        raise InputError(
            f"{root}, item '{first.id}': {first.reason}{more}; mend the copy, or let such rows be left out"
        )
    return replace(benchmark, left_out=left_out)


def _by_id(items: list[Item]) -> tuple[Item, ...]:
    return tuple(sorted(items, key=lambda item: item.id))
