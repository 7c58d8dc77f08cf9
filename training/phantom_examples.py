"""Examples from phantoms: their questions, reports, boxes, and questions for the agent.

Drawing takes a tenth of a second a phantom, so a list of examples is kept in the data folder for as
long as the code that makes it is the same.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from rich.console import Console
from rich.progress import track

from overread.agent.profiles import BUNDLED, load_profile
from overread.agent.prompts import (
    DIRECT_SYSTEM,
    Entry,
    Message,
    direct_messages,
    evidence_line,
    planner_messages,
)
from overread.evals.benchmarks.generated import box_target, report_of
from overread.evals.metrics import grounding
from overread.evals.metrics.open_text import NUMBER_TOLERANCE
from overread.imaging import phantoms as phantom_package
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import Phantom, generate
from overread.imaging.phantoms.truth import Question, Split
from overread.imaging.render import for_planner
from overread.imaging.study import Image, Mask
from overread.tools import phrases
from overread.training import trace_words
from overread.training.examples import (
    VIEW_SIZE,
    Example,
    PhantomRef,
    as_parts,
    read_lines,
    write_lines,
)
from overread.training.phantom_cache import cases_of

Task = Literal["closed", "open", "measurement", "grounding", "report", "tool_use"]
TASKS: tuple[str, ...] = get_args(Task)
DATASET = "phantoms"

BOXES = (
    "Where is the {target}? Answer with a box around each as [left, top, right, bottom], in pixels "
    "of the image, which is {size} wide and {size} high; answer none if there is none."
)
_TASK_OF: dict[str, Task] = {"closed": "closed", "open": "open", "number": "measurement"}
_HALF = 127  # of a mask drawn in 8 bit
_FEW = 64  # patients that are drawn before other processes have started


def phantom_examples(split: Split, patients: int, cache: Path) -> list[Example]:
    """Return all examples of a split's patients, domains in turn; made on all cores once.

    Args:
        split: Of the patients.
        patients: How many.
        cache: Folder of the kept lists.
    """
    kept = cache / f"phantoms-{split}-{patients}-{_version()}.jsonl"
    if kept.is_file():
        return list(read_lines(kept, Example))
    cases = cases_of(split, patients)
    jobs = [(case, split) for case in cases]
    console = Console(stderr=True)
    if len(jobs) <= _FEW:
        made = [_made(job) for job in jobs]
    else:
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
            rows = pool.imap(_made, jobs, chunksize=8)
            label = f"examples of {patients} phantoms"
            made = list(track(rows, label, total=len(jobs), console=console))
    examples = [example for row in made for example in row]
    write_lines(kept, examples)
    return examples


def examples_of(phantom: Phantom, ref: PhantomRef, split: Split) -> Iterator[Example]:
    """Yield what can be learnt from one phantom."""
    common: dict[str, Any] = {
        "dataset": DATASET, "patient": phantom.patient_id, "split": split, "images": [ref],
    }  # fmt: skip
    for number, question in enumerate(phantom.questions):
        if question.content_type == "compare":
            continue
        name = f"{phantom.study_id}-{number}-{question.content_type}"
        reference = _reference(question)
        yield Example(
            id=name,
            task=_TASK_OF[question.answer_type],
            messages=[*_asked(question.text), _reply(question.answer)],
            reference=reference,
            **common,
        )
        yield Example(
            id=f"{name}-agent",
            task="tool_use",
            messages=_agent(phantom, question.text),
            reference=reference,
            **common,
        )
    yield _grounded(phantom, common)
    yield _reported(phantom, common)


def boxes_of(mask: Mask, phantom: Phantom) -> list[tuple[int, ...]]:
    """Return a box around each object of a mask as (left, top, right, bottom) in view pixels.

    Right and bottom are the first column and row outside. The mask goes through the same rendering
    as the picture, so that both agree.

    Args:
        mask: Boolean, (rows, columns) of the phantom.
        phantom: Decides the aspect of the view.
    """
    shade = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    drawn = Image(
        ref=phantom_image(phantom).ref,
        pixels=shade,
        modality=phantom.modality,
        spacing_mm=phantom.spacing_mm,
    )
    view = np.asarray(for_planner(drawn, VIEW_SIZE).convert("L")) > _HALF
    boxes = [tuple(map(int, box)) for box in grounding.boxes_of(view)]
    return sorted(boxes, key=lambda box: box[:2])


def _made(job: tuple[tuple[str, int, int], Split]) -> list[Example]:
    (domain, patient, visit), split = job
    ref = PhantomRef(domain=domain, patient=patient, visit=visit)
    return list(examples_of(generate(domain, patient, visit), ref, split))


def _reference(question: Question) -> dict[str, Any]:
    reference: dict[str, Any] = {
        "kind": question.answer_type,
        "answers": [question.answer],
        "content_type": question.content_type,
        "question": question.text,
    }
    if question.options:
        reference["options"] = list(question.options)
    if question.answer_type == "number":
        reference |= {"unit": question.unit, "tolerance": NUMBER_TOLERANCE}
        reference |= {"quantity": question.quantity, "target": question.target}
    if question.answer_type == "open":
        reference["parts"] = True
    return reference


def _grounded(phantom: Phantom, common: dict[str, Any]) -> Example:
    target = box_target(phantom)
    boxes = boxes_of(phantom.masks[target], phantom) if target in phantom.masks else []
    said = "; ".join(f"[{', '.join(str(edge) for edge in box)}]" for box in boxes) or "none"
    return Example(
        id=f"{phantom.study_id}-boxes",
        task="grounding",
        messages=[*_asked(BOXES.format(target=target, size=VIEW_SIZE)), _reply(said)],
        reference={"boxes": [list(box) for box in boxes], "kind": "boxes", "target": target},
        **common,
    )


def _reported(phantom: Phantom, common: dict[str, Any]) -> Example:
    report = report_of(phantom)
    asked = trace_words.REPORT[phantom_number(phantom) % len(trace_words.REPORT)]
    findings = sorted({finding.name for finding in phantom.findings})
    return Example(
        id=f"{phantom.study_id}-report",
        task="report",
        messages=[*_asked(asked), _reply(report)],
        reference={"answers": [report], "kind": "report", "findings": findings},
        **common,
    )


def phantom_number(phantom: Phantom) -> int:
    """Return the number of a phantom's patient."""
    return int(phantom.patient_id.rsplit("-", 1)[1])


def _asked(question: str) -> list[Message]:
    return as_parts(direct_messages([""], question))


def _agent(phantom: Phantom, question: str) -> list[Message]:
    image = phantom_image(phantom)
    fact = phrases.intake(1, image.modality, image.body_part, image.shape, image.spacing_mm)
    system = load_profile(BUNDLED).system
    transcript = [Entry("question", question)]
    return as_parts(planner_messages(system, [""], [evidence_line("E1", fact)], transcript))


def _reply(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _version() -> str:
    """Return a hash of the code and words that decide what is drawn and asked."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(repr((trace_words.REPORT, DIRECT_SYSTEM, load_profile(BUNDLED).system)).encode())
    for file in sorted(Path(phantom_package.__path__[0]).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
