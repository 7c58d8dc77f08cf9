"""Users' corrections and thumbs as pairs; only of users who agreed that they are learnt from.

A line of a feedback file is one answer and what its reader did with it:

    {"id": "7", "consent": true, "patient": "p-01", "question": "Is there a nodule?",
     "images": ["now.dcm"], "answer": "No nodule [E2].", "correction": "There is a nodule."}

A correction makes a pair against the answer it corrects. A thumb alone makes none: a pair needs a better
and a worse answer, so an answer with thumb "up" and one with thumb "down" to the same question about the
same images make one.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from overread.agent.prompts import direct_messages
from overread.imaging.errors import InputError
from overread.imaging.phantoms import split_of
from overread.training.examples import FileRef, Pair, as_parts

DATASET = "feedback"


class Feedback(BaseModel, frozen=True):
    """One answer, and what its reader did with it.

    Attributes:
        id: Unique in its file.
        consent: Whether it may be learnt from; false where nothing is said.
        patient: Pseudonym; what splits keep together.
        question, answer: As asked and as shown.
        images: Files, relative to the feedback file's folder or absolute.
        correction: What the answer should have been.
        thumb: The reader's opinion of the answer.
    """

    id: str
    consent: bool = False
    patient: str = Field(min_length=1)
    question: str = Field(min_length=1)
    images: list[Path] = []
    answer: str = Field(min_length=1)
    correction: str | None = None
    thumb: Literal["up", "down"] | None = None


@dataclass(frozen=True, slots=True)
class Corrections:
    """Pairs of users.

    Attributes:
        pairs: In the order of the file.
        left_out: How many lines made no pair, by the reason.
    """

    pairs: tuple[Pair, ...]
    left_out: dict[str, int]


def read_corrections(path: Path) -> Corrections:
    """Return the pairs of a feedback file.

    Raises:
        InputError: It cannot be read, or a line is wrong; nothing of what users wrote is repeated.
    """
    left_out: Counter[str] = Counter()
    pairs: list[Pair] = []
    thumbs: dict[str, dict[str, Feedback]] = defaultdict(dict)
    for row in _rows(path):
        split = split_of(row.patient)
        if not row.consent:
            left_out["no consent"] += 1
        elif split == "test":
            left_out["patient of the test split"] += 1
        elif row.correction and row.correction.strip() != row.answer.strip():
            pairs.append(_pair(row.id, row, row.correction, row.answer, path.parent))
        elif row.thumb:
            thumbs[_question(row)].setdefault(row.thumb, row)
        else:
            left_out["neither correction nor thumb"] += 1
    for rated in thumbs.values():
        up, down = rated.get("up"), rated.get("down")
        if up is None or down is None:
            left_out["a thumb without its opposite"] += 1
        elif up.answer.strip() != down.answer.strip():
            pairs.append(_pair(f"{up.id}-{down.id}", up, up.answer, down.answer, path.parent))
    return Corrections(tuple(pairs), dict(left_out))


def _rows(path: Path) -> Iterable[Feedback]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the feedback {path} cannot be read: {error}") from error
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            yield Feedback.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "line"
            raise InputError(
                f"the feedback {path}, line {number}: {where}: {first['msg']}"
            ) from error


def _question(row: Feedback) -> str:
    return json.dumps(
        [row.patient, " ".join(row.question.lower().split()), sorted(map(str, row.images))]
    )


def _pair(id_: str, row: Feedback, chosen: str, rejected: str, folder: Path) -> Pair:
    return Pair(
        id=f"{DATASET}:{id_}:correction",
        dataset=DATASET,
        kind="correction",
        task="open",
        patient=row.patient,
        split=split_of(row.patient),
        messages=as_parts(direct_messages([""] * len(row.images), row.question)),
        images=[FileRef(path=(folder / image).resolve()) for image in row.images],
        chosen=chosen.strip(),
        rejected=rejected.strip(),
    )
