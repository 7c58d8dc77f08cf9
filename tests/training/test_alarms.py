from collections.abc import Callable
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from overread.training.alarms import Limits, Watch, paying_tricks, probe
from overread.training.examples import Example
from overread.training.rewards.registry import REWARDS

LIMITS = Limits(window=20, settling=2, patience=2)
QUESTION = "Is there a nodule in the left lung?"


def example(task: str = "closed", answer: str = "yes") -> Example:
    reference = {"answers": [answer]} | ({"kind": "closed"} if task == "tool_use" else {})
    return Example(
        id=f"{task} {answer}", dataset="set", task=task, patient="p", split="train", images=[],
        messages=[{"role": "user", "content": f"Question: {QUESTION}"}], reference=reference,
    )  # fmt: skip


HALF = [example(answer=("yes", "no")[number % 2]) for number in range(20)]


def log(watch: Watch, tmp: Any, **logs: float) -> TrainerControl:
    control = TrainerControl()
    args = TrainingArguments(str(tmp), use_cpu=True, report_to="none")
    figures = {"entropy": 1.0, "completions/mean_length": 20.0} | logs
    watch.on_log(args, TrainerState(global_step=7), control, logs=figures)
    return control


def honest(number: int) -> str:
    return ("Yes, on the left.", "No nodule is seen.")[number % 2]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("empty answer", lambda n: ""),
        ("copied prompt", lambda n: QUESTION),
        ("citation spam", lambda n: "No nodule [E1][E2][E3][E4][E5][E6]."),
        ("always yes", lambda n: "Yes, there is."),
        ("overlong answer", lambda n: "the " * 500),
    ],
)
def test_each_trick_sounds_its_alarm_and_stops_the_run(
    name: str, write: Callable[[int], str], tmp_path: Any
) -> None:
    watch = Watch(LIMITS)
    watch.see([write(n) for n in range(20)], HALF)
    assert not log(watch, tmp_path).should_training_stop
    assert watch.sounded == {name: 7}
    assert log(watch, tmp_path).should_training_stop
    assert watch.stopped_by == name


def test_entropy_collapse_stops_the_run(tmp_path: Any) -> None:
    watch = Watch(LIMITS)
    stops = [log(watch, tmp_path, entropy=e).should_training_stop for e in (1.0, 1.2, 0.05, 0.04)]
    assert stops == [False, False, False, True]
    assert watch.stopped_by == "entropy collapse"


@pytest.mark.parametrize("length", [70.0, 5.0])
def test_length_drift_stops_the_run(length: float, tmp_path: Any) -> None:
    watch = Watch(LIMITS)
    lengths = {"completions/mean_length": length}
    stops = [log(watch, tmp_path).should_training_stop for _ in range(2)]
    stops += [log(watch, tmp_path, **lengths).should_training_stop for _ in range(2)]
    assert stops == [False, False, False, True]
    assert watch.stopped_by == "length drift"


def test_an_honest_policy_sounds_none(tmp_path: Any) -> None:
    watch = Watch(LIMITS)
    watch.see([honest(n) for n in range(20)], HALF)
    for step in range(10):
        shrinking = {"entropy": 1.0 - 0.05 * step, "completions/mean_length": 20.0 + 2 * step}
        assert not log(watch, tmp_path, **shrinking).should_training_stop
    assert not watch.sounded


def test_yes_is_no_trick_where_yes_is_right(tmp_path: Any) -> None:
    watch = Watch(LIMITS)
    watch.see(["Yes."] * 20, [example()] * 20)
    log(watch, tmp_path)
    assert not watch.sounded


def test_a_passing_alarm_does_not_stop(tmp_path: Any) -> None:
    watch = Watch(LIMITS)
    for entropy in (1.0, 1.0, 0.05, 0.5, 0.05, 0.5):
        assert not log(watch, tmp_path, entropy=entropy).should_training_stop
    assert watch.sounded == {"entropy collapse": 7}


def pay(text: str, one: Example) -> float:
    return REWARDS[one.task](text, one)


def test_tricks_pay_less_than_a_baseline_under_the_real_rewards() -> None:
    paid = probe(pay, [*HALF, example("tool_use", "yes")])
    assert paid["set/closed"]["empty answer"] == 0.0
    # "Yes" is right in one of two. The question's own words say that the nodule is there, and the
    # metric reads them as a yes.
    assert paid["set/closed"]["always yes"] == paid["set/closed"]["copied prompt"] == 0.5
    # An agent's bare yes has no evidence.
    assert set(paid["set/tool_use"].values()) == {0.0}
    assert not paying_tricks(paid, {"set/closed": 0.8, "set/tool_use": 0.3})


def test_a_mix_in_which_yes_pays_is_named() -> None:
    told = paying_tricks(probe(pay, [example()] * 4), {"set/closed": 0.8})
    assert "'always yes' earns 1.000 on set/closed, where the baseline earns 0.800" in told


def test_tricks_are_tried_where_they_belong() -> None:
    paid = probe(pay, [example("report", "Left effusion.")])
    assert "always yes" not in paid["set/report"]
    assert not paying_tricks(paid, {})
