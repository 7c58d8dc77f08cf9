"""Writes what weights were trained on beside them; `overread.evals.contamination` reads it.

    python -m overread.training.manifest FOLDER --counted train 9000 --counted validation 350
    python -m overread.training.manifest FOLDER --whole train --note "The number is not known."

Every recipe does so by itself. The command is for weights that are there already.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import cast, get_args

from overread.evals.contamination import MANIFEST
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms import split_of
from overread.imaging.phantoms.generate import PATIENTS
from overread.imaging.phantoms.seeds import Case, stream
from overread.imaging.phantoms.truth import Split
from overread.imaging.vocabulary import DOMAINS
from overread.training.phantom_cache import cases_of

Patient = tuple[str, int]  # domain and number

_TITLE = "# Patients on whose phantoms these weights were trained, calibrated or chosen."
_UNKNOWN = "# Earlier weights had no manifest: all patients that they may have been trained on."


def counted(split: Split, number: int) -> Iterator[Patient]:
    """Yield the patients of `cases_of`."""
    for domain, patient, _ in cases_of(split, number):
        yield domain, patient


def sampled(split: Split, number: int, seed: int) -> Iterator[Patient]:
    """Yield the patients of `overread.imaging.phantoms.sample` without drawing their phantoms."""
    rng = stream("sample", split, seed)
    seen: set[Patient] = set()
    for domain in islice(cycle(DOMAINS), number):
        while True:
            patient = domain, int(rng.integers(PATIENTS))
            if patient not in seen and _split(*patient) == split:
                break
        seen.add(patient)
        if DOMAINS[domain][1]:
            rng.random()  # decides on a follow-up there
        yield patient


def lines_of(patients: Iterable[Patient]) -> list[str]:
    """Return the lines of a manifest that name exactly these patients.

    A range may reach over patients of other splits, since a line counts those of its own alone.
    """
    numbers: dict[tuple[str, Split], set[int]] = defaultdict(set)
    for domain, number in patients:
        numbers[domain, _split(domain, number)].add(number)
    return [
        _line(domain, split, _ranges(domain, split, found))
        for (domain, split), found in numbers.items()
    ]


def whole(split: Split) -> list[str]:
    """Return the lines of a manifest that name all patients of a split."""
    return [_line(domain, split, [(0, PATIENTS - 1)]) for domain in DOMAINS]


def inherited(weights: Path) -> list[str]:
    """Return what lies beside earlier weights; without it, all patients of the training split.

    The weights are a file or its folder. Our recipes learn from no other patients, so that says too
    much rather than too little.

    Raises:
        InputError: The manifest cannot be read.
    """
    path = (weights if weights.is_dir() else weights.parent) / MANIFEST
    if not path.is_file():
        return [_UNKNOWN, *whole("train")]
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the training manifest {path} cannot be read: {error}") from error


def write(folder: Path, lines: Iterable[str]) -> Path:
    """Write a manifest into the folder of weights, whole, each line once.

    Raises:
        ConfigError: The folder cannot be written.
    """
    path = folder / MANIFEST
    text = "".join(f"{line}\n" for line in dict.fromkeys([_TITLE, *lines]))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, text, mode=ORDINARY)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return path


def _split(domain: str, number: int) -> Split:
    return split_of(Case(domain, number, 0, 0).patient_id)


def _ranges(domain: str, split: Split, numbers: set[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and all(_split(domain, i) != split for i in range(ranges[-1][1] + 1, number)):
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return ranges


def _line(domain: str, split: Split, ranges: Sequence[tuple[int, int]]) -> str:
    patients = [first if first == last else (first, last) for first, last in ranges]
    fields = {"benchmark": "phantoms", "domain": domain, "split": split, "patients": patients}
    return json.dumps(fields)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(prog="python -m overread.training.manifest")
    parser.add_argument("folder", type=Path, help="Where the weights are.")
    parser.add_argument(
        "--counted", nargs=2, action="append", default=[], metavar=("SPLIT", "NUMBER"),
        help="Cases of the planner's recipes, patients counted up.",
    )  # fmt: skip
    parser.add_argument(
        "--sampled", nargs=3, action="append", default=[], metavar=("SPLIT", "NUMBER", "SEED"),
        help="Cases of the other recipes, patients drawn.",
    )  # fmt: skip
    parser.add_argument(
        "--whole", action="append", default=[], choices=get_args(Split), help="A whole split."
    )
    parser.add_argument("--note", action="append", default=[], help="Said to who reads it.")
    args = parser.parse_args(arguments)
    lines = [f"# {note}" for note in args.note]
    try:
        for split, number in args.counted:
            lines += lines_of(counted(_named(split), int(number)))
        for split, number, seed in args.sampled:
            lines += lines_of(sampled(_named(split), int(number), int(seed)))
    except ValueError as error:
        parser.error(str(error))
    for split in args.whole:
        lines += whole(split)
    write(args.folder, lines)


def _named(split: str) -> Split:
    if split not in get_args(Split):
        raise ValueError(f"'{split}' is none of {', '.join(get_args(Split))}")
    return cast(Split, split)


if __name__ == "__main__":
    main()
