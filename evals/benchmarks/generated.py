"""Questions, reports and boxes of phantoms, made and written once; see `overread.imaging.phantoms`."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from overread.evals.benchmarks.ages import age_group
from overread.evals.items import Item
from overread.evals.metrics.grounding import boxes_of
from overread.evals.metrics.open_text import NUMBER_TOLERANCE
from overread.imaging import phantoms as phantom_package
from overread.imaging.errors import InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms import HELD_OUT, Phantom, sample, write
from overread.imaging.phantoms.seeds import stream
from overread.imaging.phantoms.truth import Question, Split

REPORT = "Write a report of this image."


def questions(number: int, seed: int, split: Split) -> Iterator[tuple[Phantom, Question]]:
    """Yield questions on one image, one a phantom, content types in turn."""
    asked: dict[str, int] = defaultdict(int)
    for phantom in sample(split, number, seed):
        rows = [row for row in phantom.questions if row.content_type not in ("compare", "view")]
        row = min(rows, key=lambda row: asked[row.content_type])
        asked[row.content_type] += 1
        yield phantom, row


def phantom_items(
    number: int, seed: int, split: Split, work: Path, readings: bool = False
) -> list[Item]:
    """Return items about phantoms whose files are below `work`.

    Args:
        number: How many; one a phantom.
        seed: Of the phantoms.
        split: Of their patients.
        work: Folder for the files.
        readings: Reports and boxes in turn, in the place of questions.

    Drawing takes a third of a second a phantom, so the list is kept beside the files for as long
    as the code that draws them is the same.

    Raises:
        InputError: The folder cannot be written.
    """

    def make(folder: Path) -> list[Item]:
        if readings:
            return [
                (_boxes if place % 2 else _report)(phantom, write(phantom, folder))
                for place, phantom in enumerate(sample(split, number, seed))
            ]
        return [
            item_of(phantom, row, (write(phantom, folder),))
            for phantom, row in questions(number, seed, split)
        ]

    return kept_items(work / f"{split}-{seed}-{drawing_version()}", number, make)


def kept_items(folder: Path, number: int, make: Callable[[Path], list[Item]]) -> list[Item]:
    """Return items about phantoms, from the folder's list or, where that is too short, made anew.

    Args:
        folder: Of their files; its name says what was drawn, by which code.
        number: How many.
        make: Writes the files into the folder.

    Raises:
        InputError: The folder cannot be written.
    """
    kept = folder / "items.jsonl"
    if (items := _read(kept, folder)[:number]) and len(items) == number:
        return items
    items = make(folder)
    lines = "".join(json.dumps(_to_json(item)) + "\n" for item in items)
    try:
        write_whole(kept, lines, mode=ORDINARY)
    except OSError as error:
        raise InputError(f"cannot write {kept}: {error.strerror}") from error
    return items


def item_of(phantom: Phantom, question: Question, files: tuple[Path, ...]) -> Item:
    """Return a phantom's question about some files."""
    extra: dict[str, Any] = {
        name: found
        for name in ("target", "quantity", "reference")
        if (found := getattr(question, name))
    }
    if question.answer_type == "number":
        extra |= {"unit": question.unit, "tolerance": NUMBER_TOLERANCE}
    if question.answer_type == "open":
        extra["parts"] = True
    return Item(
        id=f"{phantom.study_id}-{question.content_type}",
        question=question.text,
        images=files,
        answers=(question.answer,),
        kind=question.answer_type,
        options=question.options,
        cluster=phantom.patient_id,
        slices={
            **slices_of(phantom),
            "answer_type": question.answer_type,
            "content_type": question.content_type,
        },
        extra=extra,
    )


def _report(phantom: Phantom, file: Path) -> Item:
    return Item(
        id=f"{phantom.study_id}-report",
        question=REPORT,
        images=(file,),
        answers=(report_of(phantom),),
        kind="report",
        cluster=phantom.patient_id,
        slices={**slices_of(phantom), "content_type": "report"},
    )


def _boxes(phantom: Phantom, file: Path) -> Item:
    target = box_target(phantom)
    mask = phantom.masks.get(target)
    rows, columns = phantom.pixels.shape[:2]
    boxes = [] if mask is None else boxes_of(mask)
    return Item(
        id=f"{phantom.study_id}-boxes",
        question=f"Where is the {target}?",
        images=(file,),
        answers=(),
        kind="boxes",
        cluster=phantom.patient_id,
        slices={**slices_of(phantom), "content_type": "boxes"},
        extra={"boxes": [list(box) for box in boxes], "size": [columns, rows], "target": target},
    )


def box_target(phantom: Phantom) -> str:
    """Return what to ask boxes of: mostly a finding that is there, else a structure, else a mass."""
    rng = stream("grounding", phantom.study_id)
    found = sorted({finding.name for finding in phantom.findings} & phantom.masks.keys())
    names = found or sorted(phantom.masks)
    if found and len(phantom.masks) > len(found) and rng.random() < 1 / 3:
        names = sorted(phantom.masks.keys() - set(found))
    return names[int(rng.integers(len(names)))] if names else "mass"


def report_of(phantom: Phantom) -> str:
    """Return a phantom's report as one text."""
    return f"Findings: {phantom.report.findings} Impression: {phantom.report.impression}"


def slices_of(phantom: Phantom) -> dict[str, str]:
    """Return what tables of phantoms are cut by."""
    return {
        "age_group": age_group(phantom.age),
        "domain": phantom.domain,
        "modality": phantom.modality,
        "scanner": "held out" if phantom.scanner == HELD_OUT[phantom.domain] else "known",
        "sex": phantom.sex,
    }


def drawing_version() -> str:
    """Return a hash of the code that decides what is drawn and asked."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for file in sorted(Path(phantom_package.__path__[0]).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _to_json(item: Item) -> dict[str, Any]:
    names = ("id", "question", "answers", "kind", "options", "cluster", "slices", "extra")
    return {name: getattr(item, name) for name in names} | {
        "images": [image.name for image in item.images]
    }


def _read(file: Path, folder: Path) -> list[Item]:
    """Return the kept items; none if the list is damaged or a file of theirs is gone."""
    if not file.is_file():
        return []
    items = []
    try:
        for line in file.read_text().splitlines():
            row = json.loads(line)
            row["images"] = tuple(folder / name for name in row["images"])
            row["answers"], row["options"] = tuple(row["answers"]), tuple(row["options"])
            items.append(Item(**row))
    except (ValueError, TypeError, KeyError):
        return []
    return items if all(image.is_file() for item in items for image in item.images) else []
