import re
from typing import Any

import pytest

from overread.evals.records import Record
from overread.training.experiments.alignment_table import auroc, table, with_success


def record(number: int, right: float, **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "benchmark": "phantoms",
        "subject": "agent",
        "item": f"q{number}",
        "status": "scored",
        "question": "Is there a nodule?",
        "scores": {"accuracy": right, "hallucination": 0.0, "valid_steps": 1.0},
        "main": "accuracy",
        "cluster": f"p{number}",
        "slices": {"answer_type": "closed", "scanner": "held out" if number % 2 else "known"},
        **changes,
    }
    return with_success(Record(**fields))


def row_of(lines: list[str], name: str) -> list[str]:
    (line,) = [line for line in lines if re.match(rf"\| {re.escape(name)}(?: \(|\s)", line)]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_a_claim_without_evidence_is_no_success() -> None:
    bold = {"accuracy": 1.0, "hallucination": 0.5, "valid_steps": 1.0}
    assert record(0, 1.0).scores["success"] == 1
    assert record(0, 0.0).scores["success"] == 0
    assert record(0, 1.0, scores=bold).scores["success"] == 0
    assert record(0, 1.0, status="failed", scores={}).scores["success"] == 0


def test_the_table_states_means_and_paired_differences() -> None:
    before = [record(number, float(number < 4)) for number in range(8)]
    after = [record(number, float(number < 6)) for number in range(8)]
    lines = list(table([("base", before), ("sft", after)]))
    assert lines[0] == "| | base | sft |"
    base, sft = row_of(lines, "closed accuracy")
    assert base == "50.0 %"
    found = re.fullmatch(r"75\.0 % \(\+25\.0: ([+-][\d.]+) to ([+-][\d.]+)\)", sft)
    assert found and float(found[1]) <= 25 <= float(found[2])
    assert row_of(lines, "closed, unseen scanner")[0] == "50.0 %"
    assert row_of(lines, "grounding IoU") == ["-", "-"]
    assert row_of(lines, "task success")[0] == "50.0 %"


def test_a_failed_item_is_wrong_but_invents_nothing() -> None:
    report = {"slices": {"content_type": "report"}, "main": "findings_f1"}
    scores = {"findings_f1": 1.0, "invented": 2.0}
    rows = [
        record(0, 1.0, scores=scores, **report),
        record(1, 0.0, status="failed", scores={}, **report),
    ]
    lines = list(table([("one", rows)]))
    assert row_of(lines, "report finding-F1") == ["50.0 %"]
    assert row_of(lines, "invented findings a report") == ["2.00"]


def test_confidence_is_ranked_and_abstentions_come_last() -> None:
    rows = [
        record(0, 1.0, confidence=0.9),
        record(1, 0.0, confidence=0.6),
        record(2, 1.0, confidence=0.7),
        record(3, 0.0, abstained=True),
        record(4, 1.0),  # told by the file itself: no confidence
    ]
    assert auroc(rows) == 1.0
    swapped = [*rows[:2], record(2, 1.0, confidence=0.5), *rows[3:]]
    assert auroc(swapped) == pytest.approx(3 / 4)
    assert auroc(rows[:1]) is None
