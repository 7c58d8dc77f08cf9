"""Alarms of a GRPO run: what pays without being right, length that drifts, entropy that collapses.

Two kinds. Probes come before the run: known tricks, scored by the very reward that will train. One
that pays more than the baseline's own answers would be learned, so the run does not start. The watch
looks at what the policy writes and how its entropy and length go on; it warns, and stops the run
when it stays so. The last checkpoint is kept.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from overread.agent.ledger import CITATION
from overread.training.examples import Example
from overread.training.rewards.reference import question_of
from overread.training.rewards.session import SessionRecord

logger = logging.getLogger(__name__)

_SPAM = "".join(f"[E{number}]" for number in range(1, 13))
_LONG_WORDS = 400
_FILLER = "There may be a finding here and there may be none, as images of this kind often show. "


@dataclass(frozen=True, slots=True)
class Trick:
    """A way to earn reward without looking.

    Attributes:
        name: For warnings and logs.
        write: What it answers to an example, in words.
        shows: Whether a text, given its question, looks like it.
        tasks: For which it is tried; None for all.
    """

    name: str
    write: Callable[[Example], str]
    shows: Callable[[str, str], bool]
    tasks: frozenset[str] | None = None


def _is_copy(text: str, question: str) -> bool:
    """Whether a text is made of the question's words and holds most of them."""
    said, asked = text.lower().split(), set(question.lower().split())
    from_there = sum(word in asked for word in said)
    return from_there >= 0.9 * len(said) > 0 and len(asked & set(said)) >= 0.8 * len(asked)


def _is_spam(text: str, question: str) -> bool:
    return len(CITATION.findall(text)) > max(4, len(text.split()) // 4)


def _is_yes(text: str, question: str) -> bool:
    return text.strip().strip("*").lower().startswith("yes")


TRICKS = (
    Trick("empty answer", lambda _: "", lambda text, _: not text.strip()),
    Trick("copied prompt", question_of, _is_copy),
    Trick("citation spam", lambda _: f"Yes, there is a finding {_SPAM}.", _is_spam),
    Trick("always yes", lambda _: "Yes.", _is_yes, frozenset({"closed", "tool_use"})),
    Trick(
        "overlong answer",
        lambda _: _FILLER * (_LONG_WORDS // len(_FILLER.split()) + 1),
        lambda text, _: len(text.split()) > _LONG_WORDS,
    ),
)


def probe(
    reward: Callable[[str, Example], float], examples: Sequence[Example]
) -> dict[str, dict[str, float]]:
    """Return what each trick is paid on the mean, by kind of example ("dataset/task") and trick.

    Args:
        reward: Of a completion, raw, so that it compares with the baseline's mean.
        examples: Of the mix.
    """
    kinds: dict[str, list[Example]] = {}
    for example in examples:
        kinds.setdefault(f"{example.dataset}/{example.task}", []).append(example)
    return {
        kind: {
            trick.name: fmean(reward(_completion(trick, one), one) for one in some)
            for trick in TRICKS
            if trick.tasks is None or some[0].task in trick.tasks
        }
        for kind, some in kinds.items()
    }


def paying_tricks(
    paid: Mapping[str, Mapping[str, float]], honest: Mapping[str, float]
) -> list[str]:
    """Return a sentence for each trick that pays more than the baseline's answers do.

    Args:
        paid: As of `probe`.
        honest: The baseline's mean reward by kind; kinds that it does not name are left out.
    """
    return [
        f"'{name}' earns {value:.3f} on {kind}, where the baseline earns {honest[kind]:.3f}"
        for kind, tricks in paid.items()
        if kind in honest
        for name, value in tricks.items()
        if value > honest[kind]
    ]


def _completion(trick: Trick, example: Example) -> str:
    text = trick.write(example)
    if example.task != "tool_use":
        return text
    return SessionRecord(answer=text, replies=1, valid=1).model_dump_json()


@dataclass(frozen=True, slots=True)
class Limits:
    """When an alarm sounds.

    Attributes:
        window: Completions that a trick's share is taken of.
        trick_share: Share of them that look like one trick.
        yes_margin: By how much more often than the references "yes" may be said.
        length_ratio: Mean length over that of the beginning, or the other way round.
        entropy_share: Entropy over that of the beginning, below which it has collapsed.
        settling: Logs that make the beginning.
        patience: Logs in a row that an alarm must sound before the run is stopped.
    """

    window: int = 256
    trick_share: float = 0.5
    yes_margin: float = 0.3
    length_ratio: float = 3.0
    entropy_share: float = 0.1
    settling: int = 5
    patience: int = 5


@dataclass
class Watch(TrainerCallback):
    """Warns at the first log that an alarm sounds in, stops the run when it goes on sounding.

    Attributes:
        limits: Thresholds.
        sounded: By alarm, the step of its first warning.
        stopped_by: The alarm that stopped the run; "" if none did.
    """

    limits: Limits = field(default_factory=Limits)
    sounded: dict[str, int] = field(default_factory=dict)
    stopped_by: str = ""

    def __post_init__(self) -> None:
        """Begin with nothing seen."""
        self._seen: deque[tuple[str, frozenset[str], bool | None]] = deque(
            maxlen=self.limits.window
        )
        self._first: dict[str, list[float]] = {"entropy": [], "completions/mean_length": []}
        self._run: dict[str, int] = {}

    def see(self, texts: Sequence[str], examples: Sequence[Example]) -> None:
        """Take note of what the policy wrote.

        Args:
            texts: Answers in words, of the tool-use task too.
            examples: That they answer.
        """
        for text, example in zip(texts, examples, strict=True):
            question = question_of(example)
            shown = frozenset(
                trick.name
                for trick in TRICKS
                if (trick.tasks is None or example.task in trick.tasks)
                and trick.shows(text, question)
            )
            self._seen.append((example.task, shown, _expected_yes(example)))

    def sounding(self, logs: Mapping[str, Any]) -> dict[str, str]:
        """Return the alarms that sound now, each with what was seen. Takes the logs in."""
        found = self._tricks_seen()
        entropy = self._compared("entropy", logs)
        if entropy is not None and entropy < self.limits.entropy_share:
            found["entropy collapse"] = f"entropy is at {entropy:.0%} of what it was"
        length = self._compared("completions/mean_length", logs)
        most = self.limits.length_ratio
        if length is not None and not 1 / most <= length <= most:
            found["length drift"] = f"completions are {length:.1f} times as long as they were"
        return found

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Warn, and stop the run when an alarm has sounded for long enough."""
        if not logs or "entropy" not in logs:
            return
        found = self.sounding(logs)
        self._run = {name: self._run.get(name, 0) + 1 for name in found}
        for name, what in found.items():
            if name not in self.sounded:
                self.sounded[name] = state.global_step
                logger.warning("step %d: %s: %s", state.global_step, name, what)
            if self._run[name] >= self.limits.patience and not self.stopped_by:
                self.stopped_by = name
                logger.error("stopped at step %d by %s: %s", state.global_step, name, what)
                control.should_training_stop = True

    def _tricks_seen(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if len(self._seen) < self._seen.maxlen:  # type: ignore[operator]
            return found
        for trick in TRICKS:
            mine = [
                (trick.name in shown, yes)
                for task, shown, yes in self._seen
                if trick.tasks is None or task in trick.tasks
            ]
            if trick.name == "always yes":
                asked = [(shows, yes) for shows, yes in mine if yes is not None]
                said, true = _share(shows for shows, _ in asked), _share(yes for _, yes in asked)
                if said - true > self.limits.yes_margin:
                    found[trick.name] = f"'yes' is {said:.0%} of answers and right in {true:.0%}"
            elif (share := _share(shows for shows, _ in mine)) > self.limits.trick_share:
                found[trick.name] = f"{share:.0%} of the last {len(mine)} completions"
        return found

    def _compared(self, name: str, logs: Mapping[str, Any]) -> float | None:
        """Return a figure over its mean of the beginning; None while that is being taken."""
        value, first = logs.get(name), self._first[name]
        if value is None:
            return None
        if len(first) < self.limits.settling:
            first.append(float(value))
            return None
        before = fmean(first)
        return float(value) / before if before > 0 else None


def _expected_yes(example: Example) -> bool | None:
    """Return whether "yes" is right; None where the question is no yes-or-no one."""
    answer = str((example.reference.get("answers") or [""])[0]).strip().lower()
    return answer == "yes" if answer in ("yes", "no") else None


def _share(flags: Any) -> float:
    kept = [bool(flag) for flag in flags]
    return sum(kept) / len(kept) if kept else 0.0
