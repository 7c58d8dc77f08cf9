"""Scores of prompts as they come in, and the best prompts so far on disk."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import dspy

from overread.evals.items import Item
from overread.evals.metrics.answers import score_answer


class Journal:
    """Scores of every item under every set of prompts; filled from many threads."""

    def __init__(self, least: int, on_best: Callable[[str, float], None]) -> None:
        """Begin empty.

        Args:
            least: Prompts are compared once so many items were scored under them.
            on_best: Called with the hash of the best prompts and their mean, when they change.
        """
        self._least = least
        self._on_best = on_best
        self._scores: dict[str, dict[str, float]] = {}
        self._best = ""
        self._lock = threading.Lock()

    def add(self, state: str, key: str, score: float) -> None:
        """Note the score of an item under some prompts."""
        with self._lock:
            self._scores.setdefault(state, {})[key] = score
            means = {
                name: sum(scores.values()) / len(scores)
                for name, scores in self._scores.items()
                if len(scores) >= self._least
            }
            best = max(means, key=means.__getitem__, default="")
            if best != self._best:
                self._best = best
                self._on_best(best, means[best])


class Metric:
    """The evaluation's own score of an answer, for every optimiser's way of asking for it."""

    def __init__(self, items: Mapping[str, Item], journal: Journal | None = None) -> None:
        """Score answers to these items, and note the scores."""
        self._items = items
        self._journal = journal

    def __call__(self, example: Any, prediction: Any, trace: Any = None) -> float:
        """Return 0..1."""
        item = self._items[example.key]
        scores = score_answer(item, prediction.answer)
        score = float(scores.values[scores.main])
        if self._journal is not None:
            self._journal.add(prediction.state, item.id, score)
        return score

    def with_feedback(
        self, example: Any, prediction: Any, trace: Any = None, name: Any = None, own: Any = None
    ) -> Any:
        """Return score and feedback in words, as GEPA wants them."""
        score = self(example, prediction)
        right = self._items[example.key].answers[0]
        said = prediction.answer or "nothing that could be used"
        feedback = f"Right is: {right}. The answer was: {said}. It scored {score:.2f}."
        return dspy.Prediction(score=score, feedback=feedback)
