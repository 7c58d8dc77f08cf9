"""What docs/normalised-grpo.md says of GRPO's advantages, on short runs of the experiment."""

from dataclasses import replace

import pytest
import torch

from overread.training.experiments.grpo_scales import (
    EPSILON_STD,
    Setting,
    advantages,
    cases,
    run,
)

SHORT = Setting("", steps=40)


def rewards() -> torch.Tensor:
    return torch.rand(5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_advantages_by_hand() -> None:
    # mean 0.5, deviation with n - 1: sqrt((0.25 + 0.25) / 1)
    found = advantages(torch.tensor([[0.0, 1.0]], dtype=torch.float64), "group")
    assert found[0, 1].item() == pytest.approx(0.5 / (0.5**0.5 + EPSILON_STD))
    none = advantages(torch.tensor([[0.0, 1.0]], dtype=torch.float64), "none")
    assert none.tolist() == [[-0.5, 0.5]]


def test_an_affine_map_leaves_the_group_advantage_up_to_epsilon() -> None:
    some = rewards()
    std = some.std(dim=1, keepdim=True)
    mapped = advantages(0.05 * some + 7, "group")
    assert torch.allclose(mapped, (some - some.mean(1, keepdim=True)) / (std + EPSILON_STD / 0.05))
    assert torch.allclose(mapped, advantages(some, "group"), rtol=0.02)


@pytest.mark.parametrize("scale", ["none", "batch"])
def test_other_advantages_keep_the_ratio_of_scales(scale: str) -> None:
    some = rewards()
    both = torch.cat([some, 0.05 * some])
    wide, narrow = advantages(both, scale).split(5)  # type: ignore[arg-type]
    assert torch.allclose(narrow, 0.05 * wide)


def test_a_group_of_equal_rewards_has_no_direction() -> None:
    assert advantages(torch.full((1, 8), 0.25), "group").abs().max() == 0


def test_the_share_of_the_gradient_follows_the_scale_without_deviations() -> None:
    shares = {s: run(replace(SHORT, scale=s, steps=1), 0).share for s in ("group", "none", "batch")}
    assert shares["group"] > 0.4
    assert shares["none"] == pytest.approx(shares["batch"])
    assert shares["none"] < 0.08
    assert run(replace(SHORT, scale="none", rewards="affine", steps=1), 0).share > 0.4


def test_a_narrow_dataset_falls_below_its_start_only_without_group_deviations() -> None:
    ends = {
        scale: run(replace(SHORT, scale=scale, conflict=True), 0).curve[-1][1]
        for scale in ("group", "none")
    }
    assert ends["none"] < 0.95
    assert ends["group"] > 1


def test_runs_repeat() -> None:
    assert run(SHORT, 1).curve == run(SHORT, 1).curve


def test_each_case_compares_the_same_three_rewards() -> None:
    for settings in cases().values():
        assert [setting.rewards for setting in settings] == ["raw", "affine", "logistic"]
        assert len({replace(s, name="", rewards="raw") for s in settings}) == 1
