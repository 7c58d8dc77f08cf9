"""DSPy's optimisers by name, with the settings of a search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dspy

from overread.training.prompt_score import Metric

Optimiser = Literal["bootstrap", "miprov2", "gepa", "simba"]
GOOD = 0.99
"""Score from which a session may become a worked example."""

BATCH = 32
"""Items that SIMBA tries at a time, at most."""

Examples = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Search:
    """How to search.

    Attributes:
        optimiser: "bootstrap" is BootstrapFewShotWithRandomSearch.
        train, choose, held_out: Items to learn from, to choose by, and to compare on.
        candidates: Prompts that are tried (MIPROv2: of instructions and of examples, each).
        rounds: MIPROv2's trials, SIMBA's steps, GEPA's full evaluations.
        demos: Worked examples at most.
        threads: Questions asked at the same time.
        seed: Of the items and the optimiser.
    """

    optimiser: Optimiser = "simba"
    train: int = 60
    choose: int = 60
    held_out: int = 200
    candidates: int = 6
    rounds: int = 6
    demos: int = 2
    threads: int = 4
    seed: int = 0

    def least(self) -> int:
        """Return on how many items prompts must have been tried to be compared with others."""
        return self.batch() if self.optimiser == "simba" else self.choose

    def batch(self) -> int:
        """Return how many items SIMBA tries at a time."""
        return min(BATCH, self.train + self.choose)


def optimise(
    wanted: Search, start: Any, metric: Metric, author: Any, learnt: Examples, chosen: Examples
) -> Any:
    """Return the program that an optimiser has made of another.

    Args:
        wanted: Which optimiser, and its settings.
        start: The program to begin with.
        metric: Scores its answers.
        author: The LM that writes instructions.
        learnt: Examples to learn from.
        chosen: Examples to choose by.
    """
    return _OPTIMISERS[wanted.optimiser](wanted, start, metric, author, list(learnt), list(chosen))


def _bootstrap(
    wanted: Search, start: Any, metric: Metric, author: Any, learnt: list[Any], chosen: list[Any]
) -> Any:
    optimiser = dspy.BootstrapFewShotWithRandomSearch(
        metric=metric,
        max_bootstrapped_demos=wanted.demos,
        max_labeled_demos=0,
        num_candidate_programs=wanted.candidates,
        num_threads=wanted.threads,
        metric_threshold=GOOD,
    )
    return optimiser.compile(start, trainset=learnt, valset=chosen)


def _miprov2(
    wanted: Search, start: Any, metric: Metric, author: Any, learnt: list[Any], chosen: list[Any]
) -> Any:
    optimiser = dspy.MIPROv2(
        metric=metric,
        prompt_model=author,
        auto=None,
        num_candidates=wanted.candidates,
        max_bootstrapped_demos=wanted.demos,
        max_labeled_demos=0,
        num_threads=wanted.threads,
        metric_threshold=GOOD,
        seed=wanted.seed,
    )
    return optimiser.compile(
        start, trainset=learnt, valset=chosen, num_trials=wanted.rounds, minibatch=False
    )


def _gepa(
    wanted: Search, start: Any, metric: Metric, author: Any, learnt: list[Any], chosen: list[Any]
) -> Any:
    # no log_dir: GEPA would keep its state there as pickles
    optimiser = dspy.GEPA(
        metric=metric.with_feedback,
        max_full_evals=wanted.rounds,
        reflection_lm=author,
        num_threads=wanted.threads,
        seed=wanted.seed,
    )
    return optimiser.compile(start, trainset=learnt, valset=chosen)


def _simba(
    wanted: Search, start: Any, metric: Metric, author: Any, learnt: list[Any], chosen: list[Any]
) -> Any:
    optimiser = dspy.SIMBA(
        metric=metric,
        bsize=wanted.batch(),
        num_candidates=wanted.candidates,
        max_steps=wanted.rounds,
        max_demos=wanted.demos,
        prompt_model=author,
        num_threads=wanted.threads,
    )
    return optimiser.compile(start, trainset=[*learnt, *chosen], seed=wanted.seed)


_OPTIMISERS: dict[Optimiser, Callable[..., Any]] = {
    "bootstrap": _bootstrap,
    "miprov2": _miprov2,
    "gepa": _gepa,
    "simba": _simba,
}
