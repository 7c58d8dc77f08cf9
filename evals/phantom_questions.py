"""Held-out phantom questions: the agent beside the same VLM asked directly, without tools.

    python -m overread.evals.phantom_questions --n 200 --out runs/phantom-questions

Phantoms of the test split alone, written as files and read like a user's. Each result is a line in
`results.jsonl`; the same command goes on after a stop.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from overread.agent import Assistant
from overread.agent.config import load_config
from overread.agent.events import AnswerReady, StepPlanned
from overread.agent.serving import ensure_server
from overread.evals.benchmarks import generated
from overread.evals.items import Item
from overread.evals.metrics.answers import score_answer
from overread.imaging.errors import OverreadError
from overread.imaging.phantoms import HELD_OUT, Phantom, write
from overread.imaging.phantoms.truth import Question
from overread.imaging.vocabulary import DOMAINS

SEED = 0


def questions(number: int) -> Iterator[tuple[Phantom, Question]]:
    """Yield held-out questions on one image, one a phantom, content types in turn."""
    return generated.questions(number, SEED, "test")


def ask(assistant: Assistant, phantom: Phantom, question: Question, folder: Path) -> dict[str, Any]:
    """Return what agent and bare VLM answer, and whether the agent's first step was valid."""
    path = write(phantom, folder)
    first: StepPlanned | None = None
    answer = None
    for event in assistant.stream(question.text, [path]):
        if isinstance(event, StepPlanned) and first is None:
            first = event
        if isinstance(event, AnswerReady):
            answer = event.answer
    direct = assistant.direct(question.text, [path])
    text = answer.text if answer else ""
    valid = first is not None and first.number == 1
    return {
        "study": phantom.study_id,
        "domain": phantom.domain,
        "held_out_scanner": phantom.scanner == HELD_OUT[phantom.domain],
        "question": asdict(question),
        "first_step_valid": valid,
        "first_calls": [call[0] for call in first.calls] if valid and first else [],
        "first_arguments": [call[1] for call in first.calls] if valid and first else [],
        "agent": text,
        "agent_correct": is_correct(text, question),
        "abstained": bool(answer and answer.abstained),
        "removed": len(answer.removed) if answer else 0,
        "own_ms_per_step": round(1000 * answer.usage.own_seconds_per_step, 1) if answer else None,
        "seconds": round(answer.usage.seconds, 2) if answer else None,
        "direct": direct.text,
        "direct_correct": is_correct(direct.text, question),
    }


def is_correct(text: str, question: Question) -> bool:
    """Mark an answer against a phantom's question; see `score_answer`."""
    item = Item(
        id=question.content_type,
        question=question.text,
        images=(),
        answers=(question.answer,),
        kind=question.answer_type,
        options=question.options,
        extra={"quantity": question.quantity, "unit": question.unit, "parts": True},
    )
    scores = score_answer(item, text)
    return scores.values[scores.main] == 1


def run(number: int, out: Path) -> list[dict[str, Any]]:
    """Ask what is not yet answered in `out` and return all results."""
    out.mkdir(parents=True, exist_ok=True)
    results_file = out / "results.jsonl"
    rows = (
        [json.loads(line) for line in results_file.read_text().splitlines()]
        if (results_file.is_file())
        else []
    )
    done = {(row["study"], row["question"]["text"]) for row in rows}
    config = load_config()
    ensure_server(config)
    with Assistant.from_config(config) as assistant, results_file.open("a") as log:
        items = list(questions(number))
        for phantom, question in track(items, "held-out questions", console=_stderr()):
            if (phantom.study_id, question.text) in done:
                continue
            row = ask(assistant, phantom, question, out / "studies")
            rows.append(row)
            log.write(json.dumps(row) + "\n")
            log.flush()
    return rows


def summary(rows: list[dict[str, Any]]) -> Table:
    """Return accuracy by content type and by domain, agent beside bare VLM."""
    table = Table("slice", "n", "agent", "bare VLM", "first step a tool call", "first step valid")

    def add(name: str, part: list[dict[str, Any]]) -> None:
        share = {
            key: sum(bool(row[key]) for row in part) / len(part)
            for key in ("agent_correct", "direct_correct", "first_calls", "first_step_valid")
        }
        table.add_row(name, str(len(part)), *(f"{100 * value:.1f} %" for value in share.values()))

    add("all", rows)
    for kind in sorted({row["question"]["content_type"] for row in rows}):
        add(kind, [row for row in rows if row["question"]["content_type"] == kind])
    for domain in DOMAINS:
        if part := [row for row in rows if row["domain"] == domain]:
            add(domain, part)
    for name, flag in (("known scanners", False), ("held-out scanner", True)):
        if part := [row for row in rows if row["held_out_scanner"] is flag]:
            add(name, part)
    return table


def _stderr() -> Console:
    return Console(stderr=True)


def main() -> int:
    """Parse the command line, run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/phantom-questions"))
    args = parser.parse_args()
    try:
        rows = run(args.n, args.out)
    except OverreadError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    Console().print(summary(rows))
    own = sorted(row["own_ms_per_step"] for row in rows if row["own_ms_per_step"] is not None)
    Console().print(f"our own code per step: median {own[len(own) // 2]} ms, most {own[-1]} ms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
