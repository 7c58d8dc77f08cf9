"""GRPO on a small planner: real rewards, the agent's real tools, TRL's own steps."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from trl import GRPOConfig

from overread.agent.bundled import OURS
from overread.imaging.errors import ConfigError
from overread.training.arguments import OurArguments
from overread.training.examples import FileRef
from overread.training.grpo import GrpoArguments, rollouts_for, rows_of
from overread.training.grpo_trainer import PlannerPolicyTrainer
from overread.training.pay import Pay
from overread.training.planner_parts import TARGETS
from overread.training.rollouts import TOOL_TASK
from tests.training.grpo_runs import (
    SPREADS,
    look,
    make_trainer,
    of_phantom,
    say,
    scripted,
)
from tests.training.tiny_planner import load_planner, save_planner

EXAMPLES = [of_phantom(1, "closed"), of_phantom(2, TOOL_TASK)]
ANSWERS = ("Yes, there is a nodule [E2].", "No, there is no nodule [E2].")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_planner(tmp_path_factory.mktemp("planner"))


def replies(call: int, place: int) -> str:
    """Answer yes and no in turn, in a form that fits both tasks in part."""
    if call % 3 == 0 and place >= 2:
        return look()
    return say(ANSWERS[place % 2])


@pytest.mark.slow
@pytest.mark.parametrize("rewards", ["normalised", "raw"])
def test_training_changes_every_part_and_resumes_to_the_same(
    rewards: str, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    before = dict(load_planner(base)[0].named_parameters())
    trainer = make_trainer(base, out, EXAMPLES, rewards=rewards)
    scripted(trainer, lambda call, place: replies(call, place))
    trainer.train()
    for part in ("text_model", "vision_model", "connector"):
        changed = [
            not torch.equal(parameter, before[name])
            for name, parameter in trainer.model.named_parameters()
            if part in name
        ]
        assert any(changed), f"{part} did not learn"
    logs = [entry for entry in trainer.state.log_history if "rewards/content/mean" in entry]
    assert {key for entry in logs for key in entry if key.startswith("raw/")} == {
        "raw/phantoms/closed", "raw/phantoms/tool_use",
    }  # fmt: skip
    assert any(entry["kl"] > 0 for entry in logs)
    assert all(entry["grad_norm"] > 0 for entry in logs)


@pytest.mark.slow
def test_a_resumed_run_ends_as_one_that_was_not_stopped(base: Path, tmp_path: Path) -> None:
    only = [EXAMPLES[0], of_phantom(3, "closed")]
    said = ("yes", "no", "perhaps", "no")
    ends = []
    for resume in (False, True):
        trainer = make_trainer(base, tmp_path / "run", only)
        scripted(trainer, lambda call, place: said[place])
        trainer.train(resume_from_checkpoint=str(tmp_path / "run/checkpoint-2") if resume else None)
        ends.append({name: p.detach().clone() for name, p in trainer.model.named_parameters()})
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.mark.slow
def test_the_policy_is_really_sampled(base: Path, tmp_path: Path) -> None:
    trainer = make_trainer(base, tmp_path / "run", EXAMPLES, steps=1)
    trainer.train()
    (entry,) = [entry for entry in trainer.state.log_history if "entropy" in entry]
    assert entry["entropy"] > 9  # an untrained model is unsure: ln(49,000) = 10.8
    assert entry["raw/phantoms/tool_use"] == 0  # and its replies are no steps


@pytest.mark.slow
def test_of_the_bundled_planner_the_adapter_learns_and_the_reference_stays(
    base: Path, tmp_path: Path
) -> None:
    model = load_planner(base)[0].bfloat16()
    adapted = get_peft_model(
        model, LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS), autocast_adapter_dtype=False
    )
    two = [EXAMPLES[0], of_phantom(3, "closed")]
    options = {"model": adapted, "kind": PlannerPolicyTrainer, "rewards": "raw"}
    trainer = make_trainer(base, tmp_path / "run", two, steps=2, **options)
    trainer.ours, trainer.known = OurArguments(), ()
    scripted(trainer, lambda call, place: ("yes", "no")[place % 2])
    before = {name: p.detach().clone() for name, p in adapted.named_parameters()}
    trainer.train()
    changed = {n for n, p in adapted.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert all(".lora_" in name and ".default." in name for name in changed)
    saved = load_file(tmp_path / "run" / "checkpoint-2" / "ours" / OURS)
    assert any("lora_B" in name for name in saved)
    assert not any(".ref." in name for name in saved)


def test_rows_are_drawn_when_they_are_read() -> None:
    rows = rows_of(EXAMPLES)
    assert len(rows) == 2
    row = rows[1]
    assert row["example"] == EXAMPLES[1]
    assert row["images"][0].size == (224, 224)
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    assert "images" not in rows_of([EXAMPLES[0].model_copy(update={"images": []})])[0]


@pytest.mark.parametrize(
    ("pay", "message"),
    [
        (Pay(SPREADS, form_weight=0.6, citation_weight=0.5), "must stay below 1"),
        (Pay(SPREADS, form_weight=-0.1), "none may be negative"),
        (Pay(SPREADS, judge_weight=0.2), "a judge needs judge_url"),
        (Pay({}), "no reward percentiles of phantoms/closed"),
    ],
)
def test_pay_that_misleads_is_refused(pay: Pay, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pay.check(EXAMPLES)


def test_a_mix_smaller_than_a_step_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 prompts and a step takes 2"):
        make_trainer(base, tmp_path / "run", EXAMPLES[:1])


def test_a_task_without_reward_is_refused() -> None:
    with pytest.raises(ConfigError, match="no reward for the task 'poem'"):
        Pay(None).check([EXAMPLES[0].model_copy(update={"task": "poem"})])


def test_normalised_rewards_need_percentiles() -> None:
    with pytest.raises(ConfigError, match="normalised rewards need reward_stats"):
        GrpoArguments().pay(None, None)
    assert GrpoArguments(rewards="raw").pay(SPREADS, None).spreads is None


def test_one_key_switches_normalisation() -> None:
    example = EXAMPLES[0]
    right = example.reference["answers"][0]
    raw, normal = (GrpoArguments(rewards=r).pay(SPREADS, None) for r in ("raw", "normalised"))
    assert raw.task(right, example) == 1.0
    # 1 / (1 + exp(-3 (1 - 0.2) / 0.6))
    assert normal.task(right, example) == pytest.approx(0.98201379)


def test_sessions_need_rollouts_and_other_tasks_none() -> None:
    config = GRPOConfig(output_dir="unused", use_cpu=True, report_to="none", bf16=False)
    assert rollouts_for(GrpoArguments(), config, EXAMPLES[:1]) is None
    assert rollouts_for(GrpoArguments(), config, EXAMPLES) is not None
    filed = EXAMPLES[1].model_copy(update={"images": [FileRef(path=Path("a.png"))]})
    with pytest.raises(ConfigError, match="oracle knows phantoms alone"):
        rollouts_for(GrpoArguments(tools="oracle"), config, [filed])
