"""Contexts for pairs: reports of other patients' phantoms, retrieved by image, whose truth is known.

The neighbours are real ones, from `overread.index`. A wrong context, too, is made of real reports: of
the most similar patients of whom the same question has another answer.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import track

from overread.evals.items import Item
from overread.evals.metrics.answers import score_answer
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import Phantom, generate, labels_of
from overread.imaging.phantoms.seeds import Case
from overread.imaging.study import ImageRef
from overread.imaging.vocabulary import DOMAINS
from overread.index.embedder import Embedder
from overread.index.filters import Exclude, Scope
from overread.index.records import VIEW_SIZE, CaseRecord, Hit, picture
from overread.index.retrieve import kept
from overread.index.select import CANDIDATES, Cut, Policy
from overread.index.store import CaseIndex, has_index
from overread.training.examples import Example, PhantomRef, open_image
from overread.training.phantom_cache import cases_of
from overread.training.rewards.reference import question_of

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

WRONG = 3
"""Reports in a wrong context: as many as the tool quotes."""

_DEPTH = 128
_BATCH = 16
_ANSWERS = "answers.json"


@dataclass(frozen=True, slots=True)
class Context:
    """What was retrieved.

    Attributes:
        hits: Best first; at least one.
        says: What these reports answer; None where that is not known.
    """

    hits: tuple[Hit, ...]
    says: str | None = None


class ContextPool:
    """An index of phantoms of the training split, and their answers to every kind of question."""

    def __init__(self, index: CaseIndex, answers: Mapping[str, Mapping[str, str]]) -> None:
        """Hold an index and, by study, the answers by `question_key`."""
        self._index = index
        self._answers = answers

    def digest(self) -> str:
        """Return what tells one pool from another."""
        known = json.dumps([self._index.embedder.name, self._answers], sort_keys=True)
        return hashlib.sha256(known.encode()).hexdigest()[:16]

    def retrieved(self, example: Example) -> Context | None:
        """Return what the tool would find for the example's image; None if nothing is near.

        No study of the example's own patient is ever among them.
        """
        image, patient = _query(example)
        ranked = self._index.search_image(image, CANDIDATES, _without(patient))
        hits = kept(ranked, Policy(), Cut())
        return Context(tuple(hits)) if hits else None

    def wrong(self, example: Example, item: Item) -> Context | None:
        """Return the nearest reports that all give the same wrong answer; None if there are none.

        Args:
            example: Of a phantom; of other images the truth that makes a context wrong is not known.
            item: The example as it is marked.
        """
        key = _key_of(example)
        if key is None:
            return None
        image, patient = _query(example)
        says, hits = None, []
        for hit in self._index.search_image(image, _DEPTH, _without(patient)):
            answer = self._answers.get(hit.study_id, {}).get(key)
            if answer is None or (says is not None and answer != says):
                continue
            scores = score_answer(item, answer)
            if scores.values[scores.main] > 0.0:
                continue
            says = answer
            hits.append(hit)
            if len(hits) == WRONG:
                break
        return Context(tuple(hits), says) if hits else None


def says_as(item: Item, context: Context, answer: str) -> bool:
    """Return whether an answer is the one that a wrong context gives."""
    if context.says is None:
        return False
    scores = score_answer(replace(item, answers=(context.says,)), answer)
    return scores.values[scores.main] >= 1.0


def open_pool(folder: Path, embedder: Embedder, phantoms: int) -> ContextPool:
    """Return the pool in a folder, filling it the first time; a killed run fills the rest.

    Args:
        folder: For the index and the answers.
        embedder: Of images and reports.
        phantoms: Training patients, domains in turn.

    Raises:
        IndexMismatch: The index there was built with another embedder.
        ConfigError: The folder cannot be written.
    """
    index = CaseIndex.open(folder / "index", embedder, create=not has_index(folder / "index"))
    path = folder / _ANSWERS
    answers: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.is_file() else {}
    wanted = [
        case for case in cases_of("train", phantoms) if Case(*case, 0).study_id not in answers
    ]
    try:
        for start in track(
            range(0, len(wanted), _BATCH), "reports for contexts", disable=not wanted
        ):
            drawn = [generate(*case) for case in wanted[start : start + _BATCH]]
            index.add([_record(phantom) for phantom in drawn])
            answers |= {phantom.study_id: answers_of(phantom) for phantom in drawn}
            write_whole(path, json.dumps(answers), mode=ORDINARY)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return ContextPool(index, answers)


def answers_of(phantom: Phantom) -> dict[str, str]:
    """Return a phantom's answers by `question_key`; presence of every finding of its domain."""
    there = {finding.name for finding in phantom.findings}
    known = {
        question_key("presence", name, ""): "yes" if name in there else "no"
        for name in DOMAINS[phantom.domain][1]
    }
    asked = {
        question_key(row.content_type, row.target, row.quantity): row.answer
        for row in phantom.questions
        if row.content_type != "compare"
    }
    return known | asked


def question_key(content_type: str, target: str, quantity: str) -> str:
    """Return what questions of the same meaning share, however they are worded."""
    return f"{content_type}/{target}/{quantity}"


def _key_of(example: Example) -> str | None:
    """Return the key of an example's question; None where it is not one of a phantom's own."""
    if len(example.images) != 1 or not isinstance(example.images[0], PhantomRef):
        return None
    ref = example.images[0]
    asked = question_of(example)
    for row in generate(ref.domain, ref.patient, ref.visit).questions:
        if asked.startswith(row.text):
            return question_key(row.content_type, row.target, row.quantity)
    return None


def _without(patient: str) -> Scope:
    return Scope(exclude=Exclude(patient=patient))


def _query(example: Example) -> tuple["Picture", str]:
    """Return the example's picture at the index's size, and the patient who must not come back."""
    if not example.images:
        raise InputError(f"example '{example.id}' has no image to retrieve reports by")
    ref = example.images[0]
    patient = ref.patient_id if isinstance(ref, PhantomRef) else example.patient
    return open_image(ref, VIEW_SIZE), patient


def _record(phantom: Phantom) -> CaseRecord:
    return CaseRecord(
        view=picture(phantom_image(phantom)),
        ref=str(ImageRef(phantom.study_id, "s0", "i0")),
        study_id=phantom.study_id,
        patient_id=phantom.patient_id,
        modality=phantom.modality,
        body_part=phantom.body_part,
        domain=phantom.domain,
        labels=tuple(labels_of(phantom)),
        report=f"{phantom.report.findings} {phantom.report.impression}".strip(),
        source="phantom",
        licence="CC0-1.0",
    )
