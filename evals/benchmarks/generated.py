"""Questions about phantoms, made and written once; see `overread.imaging.phantoms`."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overread.evals.benchmarks.ages import age_group
from overread.evals.items import Item
from overread.evals.metrics.open_text import NUMBER_TOLERANCE
from overread.imaging import phantoms as phantom_package
from overread.imaging.errors import InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms import HELD_OUT, Phantom, sample, write
from overread.imaging.phantoms.truth import Question, Split


def questions(number: int, seed: int, split: Split) -> Iterator[tuple[Phantom, Question]]:
    """Yield questions on one image, one a phantom, content types in turn."""
    asked: dict[str, int] = defaultdict(int)
    for phantom in sample(split, number, seed):
        rows = [row for row in phantom.questions if row.content_type not in ("compare", "view")]
        row = min(rows, key=lambda row: asked[row.content_type])
        asked[row.content_type] += 1
        yield phantom, row


def phantom_items(number: int, seed: int, split: Split, work: Path) -> list[Item]:
    """Return questions about phantoms whose files are below `work`.

    Drawing takes a third of a second a phantom, so the list is kept beside the files for as long
    as the code that draws them is the same.

    Raises:
        InputError: The folder cannot be written.
    """
    folder = work / f"{split}-{seed}-{_version()}"
    kept = folder / "items.jsonl"
    if (items := _read(kept, folder)[:number]) and len(items) == number:
        return items
    items = [
        _item(phantom, row, write(phantom, folder))
        for phantom, row in questions(number, seed, split)
    ]
    lines = "".join(json.dumps(_to_json(item)) + "\n" for item in items)
    try:
        write_whole(kept, lines, mode=ORDINARY)
    except OSError as error:
        raise InputError(f"cannot write {kept}: {error.strerror}") from error
    return items


def _item(phantom: Phantom, question: Question, file: Path) -> Item:
    extra: dict[str, Any] = {
        name: found
        for name in ("target", "quantity", "reference")
        if (found := getattr(question, name))
    }
    if question.answer_type == "number":
        extra |= {"unit": question.unit, "tolerance": NUMBER_TOLERANCE}
    if question.answer_type == "open":
        extra["parts"] = True
    held_out = phantom.scanner == HELD_OUT[phantom.domain]
    return Item(
        id=f"{phantom.study_id}-{question.content_type}",
        question=question.text,
        images=(file,),
        answers=(question.answer,),
        kind=question.answer_type,
        options=question.options,
        cluster=phantom.patient_id,
        slices={
            "age_group": age_group(phantom.age),
            "answer_type": question.answer_type,
            "content_type": question.content_type,
            "domain": phantom.domain,
            "modality": phantom.modality,
            "scanner": "held out" if held_out else "known",
            "sex": phantom.sex,
        },
        extra=extra,
    )


def _version() -> str:
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
