"""Traces: sessions in which the written teacher plans and the real tools answer.

    python -m overread.training.traces --split train --sessions 4000 --out runs/traces/train.jsonl

A line holds the cases (so that views can be rendered), and the chat messages with a mark on those
that the planner is to learn. Splits are by patient; nothing of the test split is ever written.
"""

import argparse
import json
import multiprocessing
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.progress import track

from overread.agent import feedback
from overread.agent.profiles import load_profile
from overread.agent.prompts import Entry, direct_messages, evidence_line, planner_messages
from overread.agent.steps import Step, ToolCall
from overread.imaging.archive import Archive
from overread.imaging.files import ORDINARY, open_whole
from overread.imaging.phantoms import Phantom, generate
from overread.imaging.phantoms.truth import Question, Split
from overread.imaging.study import Series, Study
from overread.imaging.vocabulary import DOMAINS, UNMASKED_FINDINGS
from overread.tools import phrases
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Evidence, ToolContext, ToolResult, Value
from overread.tools.registry import build_tools
from overread.training import teacher, trace_words
from overread.training.oracle import OracleIndex, OracleSegmenter
from overread.training.phantom_cache import cases_of, session_image
from overread.training.teacher import NoAnswer, Plan

IMAGE = "image:"  # an image part's URL in a trace: "image:0" is the first case
PNG_ONLY = ("fundus", "histology")
PNG_SHARE = 0.25
MEASURED = ("size", "count", "ratio", "compare")
# What a small planner learns slowly comes more often: reports, sides taken over from evidence, and
# places, of which few phantoms have one.
REPORT_WEIGHT, WEIGHTS = 4.0, {"side": 3.0, "location": 20.0, "presence": 1.5}


@dataclass
class Session:
    """A session being written."""

    context: ToolContext
    transcript: list[Entry] = field(default_factory=list)
    learn: list[bool] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)

    def add(self, kind: str, text: str, learn: bool = True) -> None:
        """Append an entry; `learn` matters for steps."""
        self.transcript.append(Entry(kind, text))  # type: ignore[arg-type]
        if kind == "step":
            self.learn.append(learn)

    def record(
        self, call_: ToolCall | None, content: str, result: ToolResult, **arguments: Any
    ) -> Evidence:
        """Append evidence and return it."""
        entry = Evidence(
            id=f"E{len(self.evidence) + 1}",
            tool=call_.tool if call_ else "intake",
            arguments=call_.arguments if call_ else arguments,
            content=content,
            **result.model_dump(),
        )
        self.evidence.append(entry)
        return entry


def write_sessions(job: tuple[int, Sequence[tuple[str, int, int]], int]) -> list[dict[str, Any]]:
    """Return the lines of one phantom, with its follow-up when there is a prior: a few sessions."""
    seed, cases, sessions = job
    rng = np.random.default_rng([seed, cases[0][1]])
    phantoms = [generate(*case) for case in cases]
    as_png = phantoms[0].domain in PNG_ONLY or rng.random() < PNG_SHARE
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=_scratch()) as scratch:
        archive = Archive(Path(scratch) / "archive")
        studies = [_study(phantom, as_png) for phantom in phantoms]
        refs = tuple(archive.add(studies))
        known = {phantom.study_id: phantom for phantom in phantoms}
        segmenter, index = OracleSegmenter(known, rng), OracleIndex(known, rng)
        context = ToolContext(
            images=refs,
            archive=archive,
            artifacts=ArtifactStore(Path(scratch) / "artifacts"),
            segmenter=lambda: segmenter,
            index=lambda: cast(Any, index),
        )
        queue = [item for item in _questions(phantoms[0], len(phantoms), rng)]
        while queue and len(lines) < sessions:
            turns = 2 if rng.random() < 0.12 else 1
            line = _session(context, phantoms, queue[:turns], rng)
            queue = queue[turns:]
            if line:
                lines.append({"cases": cases, **line})
    lines.append({"cases": cases[:1], **_direct(phantoms[0], rng)})
    return lines


def _scratch() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def _study(phantom: Phantom, as_png: bool) -> Study:
    image = session_image(phantom, as_png)
    series = Series("s0", image.modality, (image,))
    return Study(phantom.study_id, phantom.patient_id, (series,))


def _questions(
    phantom: Phantom, images: int, rng: np.random.Generator
) -> list[tuple[str, Question | None, Plan]]:
    """Return (text, question, plan): the phantom's own and some requests, the weighty ones first.

    The order is random; an item's weight is its chance to come next.
    """
    items: list[tuple[str, Question | None, Plan]] = []
    for question in phantom.questions:
        if (question.content_type == "compare") != (images > 1):
            continue
        made = teacher.plan(question, phantom, rng)
        if made:
            items.append((question.text, question, made))
    if images == 1:
        structures, findings = DOMAINS[phantom.domain]
        names = [*structures, *(name for name in findings if name not in UNMASKED_FINDINGS)]
        target = names[int(rng.integers(len(names)))]
        noun = trace_words.noun(phantom.domain, target)
        requests: list[tuple[float, str, Plan]] = [
            (0.7, trace_words.pick(trace_words.REPORT, rng), teacher.report_plan(phantom)),
            (
                0.4,
                trace_words.pick(trace_words.OUTLINE, rng).format(the=f"the {noun}"),
                teacher.outline_plan(target, phantom.domain),
            ),
            (0.3, trace_words.pick(trace_words.SIMILAR, rng), teacher.similar_plan()),
            (0.15, trace_words.pick(trace_words.UNANSWERABLE, rng), teacher.abstain_plan()),
        ]
        items += [(text, None, made) for chance, text, made in requests if rng.random() < chance]
    weights = [_weight(text, question) for text, question, _ in items]
    order = np.argsort(rng.exponential(size=len(items)) / np.array(weights))
    return [items[i] for i in order]


def _weight(text: str, question: Question | None) -> float:
    if question is not None:
        return WEIGHTS.get(question.content_type, 1.0)
    return REPORT_WEIGHT if text in trace_words.REPORT else 1.0


def _session(
    context: ToolContext,
    phantoms: list[Phantom],
    turns: Sequence[tuple[str, Question | None, Plan]],
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    session = Session(context)
    for number, ref in enumerate(context.images, start=1):
        image = context.archive.load(ref)
        content = phrases.intake(
            number, image.modality, image.body_part, image.shape, image.spacing_mm
        )
        values: dict[str, Value] = {
            "modality": image.modality,
            "body_part": image.body_part,
        }
        session.record(
            None, content, ToolResult(version="intake", image=str(ref), values=values), image=number
        )
    intake = [evidence_line(entry.id, entry.content) for entry in session.evidence]
    png = context.archive.load(context.images[0]).modality == "OT"
    try:
        for text, question, made in turns:
            if png and question and question.content_type in ("modality", "organ"):
                made = replace(made, steps=made.steps or _look_it_up())
                if not made.steps:
                    return None
            session.add("question", text)
            _run_turn(session, question, _for_file(made, question, phantoms[0], png), rng)
    except NoAnswer:
        return None
    urls = [f"{IMAGE}{i}" for i in range(len(context.images))]
    messages = planner_messages(load_profile("bundled").system, urls, intake, session.transcript)
    return {"messages": messages, "learn": session.learn}


def _look_it_up() -> tuple[tuple[str, tuple[ToolCall, ...]], ...]:
    call = ToolCall(tool="find_similar_cases", arguments={"image": 1})
    return (("The file does not say; compare with known cases.", (call,)),)


def _for_file(made: Plan, question: Question | None, phantom: Phantom, png: bool) -> Plan:
    """Word the answer to 'what is this' from the cases when the file does not say."""
    if not (png and question and question.content_type in ("modality", "organ")):
        return made

    def from_cases(evidence: Sequence[Evidence | None]) -> str:
        seen = evidence[-1]
        if seen is None:
            raise NoAnswer
        what = question.answer[0].upper() + question.answer[1:]
        return f"{what}: the most similar cases are of {seen.values['domain']} [{seen.id}]."

    return replace(made, answer=from_cases)


def _run_turn(
    session: Session, question: Question | None, made: Plan, rng: np.random.Generator
) -> None:
    evidence: list[Evidence | None] = []
    steps = list(made.steps)
    while steps:
        why, calls = steps.pop(0)
        outcomes = _step(session, why, calls)
        evidence += outcomes
        if question and question.content_type in MEASURED and None in outcomes:
            image = outcomes.index(None) + 1
            evidence += _step(session, *teacher.fallback(question, image))
    facts_only = not made.steps
    text = made.answer(session.evidence[:1] if facts_only else evidence)
    step = teacher.answer_step(text, bool(made.steps))
    if rng.random() < 0.04 and len(made.steps) == 1 and session.evidence:
        _mistake_and_complaint(session, step)
    session.add("step", step.text())


def _step(session: Session, why: str, calls: Sequence[ToolCall]) -> list[Evidence | None]:
    session.add("step", Step(why=why, calls=tuple(calls)).text())
    context = replace(session.context, evidence=tuple(session.evidence))
    tools = {tool.name: tool for tool in build_tools(context)}
    lines, outcomes = [], list[Evidence | None]()
    for call in calls:
        request = {"type": "tool_call", "id": "1", "name": call.tool, "args": call.arguments}
        message = tools[call.tool].invoke(request)
        if message.status == "error":
            lines.append(feedback.tool_failed(call.tool, str(message.content)))
            outcomes.append(None)
            continue
        entry = session.record(call, str(message.content), message.artifact)
        lines.append(evidence_line(entry.id, entry.content))
        outcomes.append(entry)
    session.add("results", "\n".join(lines))
    return outcomes


def _mistake_and_complaint(session: Session, right: Step) -> None:
    """Cite what does not exist, be told, and then give the right answer."""
    missing = f"E{len(session.evidence) + 3}"
    wrong = str(right.answer).replace(f"[{session.evidence[-1].id}]", f"[{missing}]")
    if wrong == right.answer:
        return
    session.add("step", Step(why=right.why, answer=wrong).text(), learn=False)
    session.add("problems", trace_words.missing_citation(wrong, missing))


def _direct(phantom: Phantom, rng: np.random.Generator) -> dict[str, Any]:
    """Return a chat without tools: what the picture shows, then a few of its questions."""
    described = trace_words.DESCRIBE
    words = (
        " ".join(
            sentence
            for sentence in re.split(r"(?<=\.) ", phantom.report.findings)
            if not re.search(r"\d", sentence)
        )
        or phantom.report.impression
    )
    rows = [(described, words)] if rng.random() < 0.6 else []
    rows += [
        (f"{question.text}", question.answer)
        for question in phantom.questions
        if question.content_type != "compare"
    ][:5]
    order = rng.permutation(len(rows))
    messages = direct_messages([f"{IMAGE}0"], rows[order[0]][0])
    for place, i in enumerate(order):
        if place:
            messages.append({"role": "user", "content": f"Question: {rows[i][0]}"})
        messages.append({"role": "assistant", "content": rows[i][1]})
    return {"messages": messages, "learn": [True] * len(order)}


def write_traces(out: Path, split: Split, patients: int, sessions: int, seed: int = 0) -> int:
    """Write the traces of a split's patients, on all cores.

    Args:
        out: A JSON-lines file.
        split: "train" or "validation".
        patients: How many phantoms; each fifth one comes with its prior.
        sessions: At most this many tool sessions a phantom.
        seed: Of everything random.
    """
    if split == "test":
        raise ValueError("traces are for training; the test split is never written")
    jobs = []
    for number, case in enumerate(cases_of(split, patients)):
        domain, patient, _ = case
        follow_up = number // len(DOMAINS) % 5 == 0 and domain not in PNG_ONLY
        cases = [(domain, patient, 1), (domain, patient, 0)] if follow_up else [case]
        jobs.append((seed, cases, sessions))
    out.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with (
        multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool,
        open_whole(out, mode=ORDINARY) as file,
    ):
        for lines in track(
            pool.imap(write_sessions, jobs, chunksize=8), f"traces of {split}", total=len(jobs)
        ):
            written += len(lines)
            file.writelines(f"{json.dumps(line)}\n".encode() for line in lines)
    return written


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("train", "validation"), default="train")
    parser.add_argument("--patients", type=int, default=3000)
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/traces/train.jsonl"))
    args = parser.parse_args()
    write_traces(args.out, args.split, args.patients, args.sessions)


if __name__ == "__main__":
    main()
