"""What a completion is paid in GRPO: its task's reward, raw or normalised, and small bounded extras."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from overread.evals.metrics.judge import JudgeFailed
from overread.imaging.errors import ConfigError
from overread.training.alarms import Watch
from overread.training.examples import Example
from overread.training.normalisation import STEEPNESS, Spread, normalise
from overread.training.rewards.citation import CITED_TASKS, citation_reward
from overread.training.rewards.form import form_reward
from overread.training.rewards.registry import Reward, reward_for
from overread.training.rewards.session import read_session

logger = logging.getLogger(__name__)

BatchReward = Callable[..., list[float | None]]
"""A reward as TRL calls it: lists of completions and of the dataset's columns by keyword."""

_JUDGED_AT_ONCE = 8


def kind_of(example: Example) -> str:
    """Return "dataset/task", what rewards are normalised by."""
    return f"{example.dataset}/{example.task}"


@dataclass(frozen=True)
class Pay:
    """All parts of the reward.

    Attributes:
        spreads: By "dataset/task"; None pays raw rewards.
        steepness: k of the logistic.
        form_weight, citation_weight, judge_weight: Of the extras, which are 0..1 each.
        judge: Marks completions; None for none.
        watch: Is shown every completion; None for none.
    """

    spreads: Mapping[str, Spread] | None
    steepness: float = STEEPNESS
    form_weight: float = 0.0
    citation_weight: float = 0.0
    judge_weight: float = 0.0
    judge: Reward | None = None
    watch: Watch | None = field(default=None, compare=False)

    def check(self, examples: Sequence[Example]) -> None:
        """Refuse what would fail or mislead in the middle of a run.

        Raises:
            ConfigError: A task has no reward, a "dataset/task" no percentiles, or the extras
                outweigh what is right.
        """
        extras = (self.form_weight, self.citation_weight, self.judge_weight)
        if min(extras) < 0 or sum(extras) >= 1:
            raise ConfigError(
                f"form_weight, citation_weight and judge_weight are {extras}; none may be negative "
                "and together they must stay below 1, or form pays more than being right"
            )
        if (self.judge is None) != (self.judge_weight == 0):
            raise ConfigError("a judge needs judge_url, judge_model and a judge_weight above 0")
        for example in {kind_of(example): example for example in examples}.values():
            reward_for(example.task)
            if self.spreads is not None and kind_of(example) not in self.spreads:
                raise ConfigError(
                    f"there are no reward percentiles of {kind_of(example)} (there are: "
                    f"{', '.join(self.spreads) or 'none'}); run 'overread train reward-stats' with "
                    "this mix, or set rewards: raw"
                )

    def task(self, completion: str, example: Example) -> float:
        """Return the task's part for one completion."""
        return self._scaled(reward_for(example.task)(completion, example), example)

    def parts(self) -> tuple[list[BatchReward], list[float]]:
        """Return the reward functions for TRL, and their weights."""
        functions: list[tuple[BatchReward, float]] = [(self.content, 1.0)]
        if self.form_weight:
            functions.append((self.form, self.form_weight))
        if self.citation_weight:
            functions.append((self.citation, self.citation_weight))
        if self.judge is not None:
            functions.append((self.judged, self.judge_weight))
        return [function for function, _ in functions], [weight for _, weight in functions]

    def _scaled(self, raw: float, example: Example) -> float:
        if self.spreads is None:
            return raw
        return normalise(raw, self.spreads[kind_of(example)], self.steepness)

    def content(
        self,
        completions: Sequence[Any],
        example: Sequence[Example],
        log_metric: Callable[[str, float], None],
        session: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Pay the tasks' rewards, and log each raw."""
        texts = read_texts(completions, session)
        if self.watch is not None:
            self.watch.see([_words(t, e) for t, e in zip(texts, example, strict=True)], example)
        paid: list[float | None] = []
        for text, one in zip(texts, example, strict=True):
            raw = reward_for(one.task)(text, one)
            paid.append(self._scaled(raw, one))
            # A curve a dataset and task: the means over a mixture hide one that falls.
            log_metric(f"raw/{kind_of(one)}", raw)
        return paid

    def form(
        self,
        completions: Sequence[Any],
        example: Sequence[Example],
        session: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Pay form."""
        texts = read_texts(completions, session)
        return [form_reward(text, one) for text, one in zip(texts, example, strict=True)]

    def citation(
        self,
        completions: Sequence[Any],
        example: Sequence[Example],
        session: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Pay citations, where there is something to cite."""
        texts = read_texts(completions, session)
        return [
            citation_reward(text, one) if one.task in CITED_TASKS else None
            for text, one in zip(texts, example, strict=True)
        ]

    def judged(
        self,
        completions: Sequence[Any],
        example: Sequence[Example],
        session: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Mark all; a group in which one mark failed gets none, as half-marked groups are unfair."""
        texts = [
            _words(t, e) for t, e in zip(read_texts(completions, session), example, strict=True)
        ]
        with ThreadPoolExecutor(_JUDGED_AT_ONCE) as pool:
            marks = list(pool.map(self._mark, texts, example))
        failed = {kind_of(e) + e.id for m, e in zip(marks, example, strict=True) if m is None}
        return [
            None if kind_of(one) + one.id in failed else mark
            for mark, one in zip(marks, example, strict=True)
        ]

    def _mark(self, text: str, example: Example) -> float | None:
        assert self.judge is not None
        try:
            return self.judge(text, example)
        except JudgeFailed as error:
            logger.warning("%s; the group is paid without the judge", error)
            return None


def read_texts(completions: Sequence[Any], sessions: Sequence[str | None] | None) -> list[str]:
    """Return what rewards read: a session's record where there is one, else the reply."""
    said = [c if isinstance(c, str) else str(c[-1]["content"] or "") for c in completions]
    kept = sessions or [None] * len(said)
    return [text if record is None else record for text, record in zip(said, kept, strict=True)]


def _words(completion: str, example: Example) -> str:
    return read_session(completion).answer if example.task in CITED_TASKS else completion
