"""Draws many phantoms to files, in several processes."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from overread.imaging.errors import InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms.export import file_name, manifest_line, write
from overread.imaging.phantoms.generate import chosen, generate
from overread.imaging.phantoms.truth import Split
from overread.imaging.vocabulary import DOMAINS

_CHUNK = 16


def write_many(
    split: Split,
    n: int,
    seed: int,
    folder: Path,
    domains: Sequence[str] = tuple(DOMAINS),
    workers: int | None = None,
) -> Iterator[int]:
    """Write the phantoms of `sample(split, n, seed, domains)` and, last, their manifest.

    A file that is there is not drawn again, so a killed call goes on.

    Args:
        split: As in `sample`.
        n: As in `sample`.
        seed: As in `sample`.
        folder: Made if needed; holds `manifest.jsonl` at the end.
        domains: As in `sample`.
        workers: Processes; as many as there are cores if None.

    Yields:
        How many are there, now and then, up to n.

    Raises:
        InputError: The folder cannot be written.
    """
    lines = folder / "lines"
    try:
        lines.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    cases = list(chosen(split, n, seed, domains))
    count = workers or len(os.sched_getaffinity(0))
    made = []
    with ProcessPoolExecutor(count, get_context("forkserver")) as pool:
        for line in pool.map(partial(_write_one, folder), cases, chunksize=_CHUNK):
            made.append(line)
            if len(made) % _CHUNK == 0 or len(made) == n:
                yield len(made)
    write_whole(folder / "manifest.jsonl", "".join(made), mode=ORDINARY)


def _write_one(folder: Path, case: tuple[str, int, int]) -> str:
    note = folder / "lines" / "-".join(map(str, case))
    if note.is_file():
        return note.read_text(encoding="utf-8")
    phantom = generate(*case)
    write(phantom, folder)
    line = json.dumps(manifest_line(phantom, file_name(phantom)), ensure_ascii=False) + "\n"
    write_whole(note, line, mode=ORDINARY)
    return line
