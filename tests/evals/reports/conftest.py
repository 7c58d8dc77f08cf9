"""Sample runs: phantoms' questions, and answers that are right with a given chance by a seed."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from overread.evals.records import Record
from overread.evals.runs import RunSpec
from overread.imaging.phantoms import Phantom, Question, sample, write

STUDIES = 28
SCRIPT = '<script>alert("x")</script>'
COMMAND = "/opt/bin/overread eval run phantoms --subject {} --limit 120"

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Phantom, Path]]:
    """Held-out phantoms as files."""
    folder = tmp_path_factory.mktemp("studies")
    return [(phantom, write(phantom, folder)) for phantom in sample("test", STUDIES, 0)]


@pytest.fixture
def make_run(tmp_path: Path, studies: list[tuple[Phantom, Path]]) -> Make:
    """Write a run folder; see `write_run`."""

    def make(subject: str, **more: Any) -> Path:
        return write_run(tmp_path / f"run-{subject.replace(':', '-')}", studies, subject, **more)

    return make


def write_run(
    folder: Path,
    studies: list[tuple[Phantom, Path]],
    subject: str,
    skill: float = 0.6,
    failed: int = 4,
    benchmark: str = "phantoms",
    prefix: str = "",
    sure: bool = True,
    **spec: Any,
) -> Path:
    """Write a run: of each phantom's questions, the share `skill` is answered right.

    Args:
        folder: Of the run.
        studies: Phantoms and their files.
        subject: Name; also seeds the chances, so that the same call gives the same run.
        skill: Chance of a right answer.
        failed: How many items fail.
        benchmark: Name.
        prefix: Of the items' ids; another one makes other items.
        sure: Whether the subject gives a confidence.
        spec: Into run.json, beside what is always there.
    """
    chance = random.Random(f"{subject} {skill}")
    asked = [(phantom, path, row) for phantom, path in studies for row in phantom.questions]
    records = [
        record(f"{prefix}{phantom.study_id}/{place}", phantom, path, row, chance, skill, sure)
        for place, (phantom, path, row) in enumerate(asked)
    ]
    for place in chance.sample(range(len(records)), failed):
        reason = chance.choice(["The planner gave no usable reply.", f"Odd reply {SCRIPT} | x"])
        lost = {"status": "failed", "reason": reason, "answer": "", "scores": {}, "main": ""}
        blank = {"confidence": None, "abstained": False, "evidence": ()}
        records[place] = records[place].model_copy(update=lost | blank)
    folder.mkdir(parents=True)
    known = {
        "benchmark": benchmark,
        "split": "test",
        "subject": subject,
        "identity": {"model": subject, "temperature": 0},
        "items": len(records),
        "command": COMMAND.format(subject).split(),
        "versions": {"overread": "0.1.0", "inspect_ai": "0.3.285"},
    }
    (folder / "run.json").write_text(RunSpec.model_validate(known | spec).model_dump_json())
    lines = [
        row.model_copy(update={"benchmark": benchmark, "subject": subject}).model_dump_json()
        for row in records
    ]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def record(
    item: str,
    phantom: Phantom,
    path: Path,
    question: Question,
    chance: random.Random,
    skill: float,
    sure: bool,
) -> Record:
    """Return an answered item; the surer the answer, the likelier it is right."""
    right = chance.random() < skill
    abstained = not right and chance.random() < 0.15
    words = question.answer if right else wrong(question, chance)
    confidence = min(0.99, max(0.02, chance.gauss(0.78 if right else 0.6, 0.16)))
    unit = f" {question.unit}" if question.unit else ""
    evidence = {"id": "E2", "tool": "measure", "content": f"{question.target or 'image'}: {words}"}
    return Record(
        benchmark="",
        subject="",
        item=item,
        status="scored",
        question=question.text,
        images=(str(path),),
        reference=(question.answer,),
        answer="There is not enough evidence." if abstained else f"It is {words}{unit} [E2].",
        scores={"accuracy": float(right), "token_f1": 1.0 if right else chance.choice([0, 0.25])},
        main="accuracy",
        confidence=round(confidence, 3) if sure else None,
        abstained=abstained,
        evidence=() if abstained else (evidence,),
        cluster=phantom.patient_id,
        slices={
            "domain": phantom.domain,
            "content_type": question.content_type,
            "answer_type": question.answer_type,
        },
        seconds=round(chance.uniform(1, 4), 2),
    )


def wrong(question: Question, chance: random.Random) -> str:
    """Return an answer that is not the truth."""
    if question.answer_type == "closed":
        return chance.choice([name for name in question.options if name != question.answer])
    if question.answer_type == "number":
        return f"{float(question.answer) * chance.choice([0.5, 1.6]) + 3:.1f}"
    return "an artefact"
