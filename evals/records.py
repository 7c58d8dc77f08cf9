"""What an evaluation found: one record an item, the common language of runs, tables and reports."""

from typing import Any, Literal

from pydantic import BaseModel


class Record(BaseModel, frozen=True, extra="forbid"):
    """The outcome of one item under one subject.

    Attributes:
        benchmark: Its name.
        subject: Its name, e.g. "agent" or "endpoint:qwen".
        item: The item's id.
        epoch: 1 for the first seed, 2 for the second, ...
        status: "failed" carries a reason and no scores; it stays in every denominator.
        reason: Why it failed, one sentence.
        question: As shown.
        images: Paths, for reports.
        reference: The accepted answers.
        options: Of a question with options, in order.
        answer: What the subject said.
        parsed: The answer as it was read, e.g. "B" or "no"; None where it could not be read, and
            where it is no words.
        scores: By metric name, 0..1 unless the metric says otherwise (HD95 is in mm).
        main: Which of `scores` decides in tables.
        failed_scores: Scores that were asked for and could not be had, by name, with the reason.
            Such a score is missing in `scores`, and counts neither as right nor as wrong.
        confidence: Of the answer, 0..1; None when the subject gives none.
        abstained: Whether the subject said that it cannot tell.
        evidence: What the answer cites: [{"id": "E2", "tool": "segment", "content": "..."}, ...].
        calls: What the subject's planner called, where that was asked for, failed calls too:
            [{"tool": "segment", "arguments": {...}}, ...], in order.
        cluster: Unit of the bootstrap.
        slices: Names and values to cut tables by.
        fingerprint: Of the item.
        seconds: Of wall time.
    """

    benchmark: str
    subject: str
    item: str
    epoch: int = 1
    status: Literal["scored", "failed"]
    reason: str = ""
    question: str
    images: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    answer: str = ""
    parsed: str | None = None
    scores: dict[str, float] = {}
    main: str = ""
    failed_scores: dict[str, str] = {}
    confidence: float | None = None
    abstained: bool = False
    evidence: tuple[dict[str, Any], ...] = ()
    calls: tuple[dict[str, Any], ...] = ()
    cluster: str = ""
    slices: dict[str, str] = {}
    fingerprint: str = ""
    seconds: float = 0.0

    @property
    def value(self) -> float:
        """Return the deciding score; a failed item counts as 0 and is reported as failed."""
        return self.scores[self.main] if self.status == "scored" else 0.0
