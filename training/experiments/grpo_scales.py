"""When does the scale of rewards change a GRPO gradient? Two datasets, 20 times apart.

    python -m overread.training.experiments.grpo_scales --seeds 5

A policy of one small network answers prompts of two datasets, "wide" (median reward 0.75) and
"narrow" (0.04). The rewards have the same shape, so that nothing but their scale differs, unless a
case says otherwise. Each setting is one run of GRPO from the same start; the table is in
docs/normalised-grpo.md. Advantages are TRL's (`GRPOTrainer`, sum_then_normalize), clip and KL too.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from overread.training.normalisation import Spread, normalise, spread_of

DATASETS = ("wide", "narrow")
MEDIANS = (0.75, 0.04)
PROMPTS, CONTENTS, GROUP = 8, 6, 8
EPSILON_STD = 1e-4  # TRL's, beside the deviation
CLIP = 0.2
# Quality of the six answers to a prompt, in medians. The worst first.
SHAPE = (0.2, 0.6, 0.9, 1.1, 1.2, 1.33)
# One answer in six pays eight medians: a heavy upper tail.
TAIL = (0.2, 0.6, 0.9, 1.1, 1.2, 8.0)
# Where a start below the median gets to is many IQRs away, and there answers differ again.
FAR = (0.96, 0.98, 1.0, 1.02, 5.0, 8.0)
_FEATURES, _WIDTH = 16, 16
_EXACT = torch.float64  # so that what cancels is seen to cancel

Kind = Literal["raw", "affine", "logistic"]
Scale = Literal["group", "batch", "none"]


@dataclass(frozen=True)
class Setting:
    """One run.

    Attributes:
        name: As in the table.
        rewards: Raw, (x - p50) / IQR, or the logistic of it.
        scale: TRL's scale_rewards: what the group's deviations from its mean are divided by.
        form_weight: Of a form reward of 0 or 1, added to the dataset's own.
        form_start: Logit by which the start prefers bad form.
        beta: Of the KL term to the start.
        iterations: Updates on each batch of samples; clipping needs more than one.
        optimizer: "sgd" or "adamw".
        rate: Learning rate.
        narrow_median: Median reward of the narrow dataset.
        narrow_shape: Of the narrow dataset's rewards.
        tilt: Logits that the start gives to the best answer over the worst.
        conflict: Whether what is right for one dataset is wrong for the other, on prompts that look
            much alike: the start has learned to tell them apart, and a gradient of one alone
            unlearns it.
        steps: Batches.
    """

    name: str
    rewards: Kind = "raw"
    scale: Scale = "group"
    form_weight: float = 0.0
    form_start: float = 0.0
    beta: float = 0.0
    iterations: int = 1
    optimizer: Literal["sgd", "adamw"] = "sgd"
    rate: float = 0.3
    narrow_median: float = MEDIANS[1]
    narrow_shape: tuple[float, ...] = SHAPE
    tilt: float = 0.0
    conflict: bool = False
    steps: int = 200


@dataclass
class Outcome:
    """What a run came to; pairs are (wide, narrow).

    Attributes:
        curve: Expected reward over the start's, at each step, shape (steps + 1, 2).
        form: Share of answers in good form at the end.
        share: The narrow dataset's part of the gradient's norm in the first batch.
        first: Gradient of the first batch, flat.
        kl: From the start, at the end. clipped: Share of clipped samples.
    """

    curve: list[tuple[float, float]] = field(default_factory=list)
    form: tuple[float, float] = (0.0, 0.0)
    share: float = 0.0
    first: Tensor = field(default_factory=lambda: torch.zeros(0))
    kl: tuple[float, float] = (0.0, 0.0)
    clipped: tuple[float, float] = (0.0, 0.0)


def advantages(rewards: Tensor, scale: Scale) -> Tensor:
    """Return TRL's advantages.

    Args:
        rewards: (prompts, group).
        scale: "group" divides by each group's standard deviation, "batch" by that of all rewards
            together, "none" (Dr. GRPO, arXiv:2503.20783) by nothing.
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if scale == "none":
        return centred
    std = rewards.std(dim=1, keepdim=True) if scale == "group" else rewards.std()
    return centred / (std + EPSILON_STD)


class World:
    """Prompts, what each answer to them pays, and the policy that starts."""

    def __init__(self, setting: Setting, seed: int) -> None:
        """Draw a world; settings with the same seed share prompts and start."""
        maker = torch.Generator().manual_seed(seed)
        count = 2 * PROMPTS
        self.dataset = torch.arange(count) // PROMPTS
        # Half of what a prompt looks like it has in common with all others: what is learned on one
        # dataset moves the other, as in any shared network.
        shared = torch.randn(1, _FEATURES, generator=maker, dtype=_EXACT)
        own = torch.randn(count, _FEATURES, generator=maker, dtype=_EXACT)
        self.prompts = (shared + own) / 2
        order = torch.stack([torch.randperm(CONTENTS, generator=maker) for _ in range(count)])
        if setting.conflict:
            self.prompts[PROMPTS:] = 0.8 * self.prompts[:PROMPTS] + 0.2 * self.prompts[PROMPTS:]
            order[PROMPTS:] = CONTENTS - 1 - order[:PROMPTS]
        self.quality = order.to(_EXACT) / (CONTENTS - 1)
        shapes = torch.tensor([SHAPE, setting.narrow_shape], dtype=_EXACT)
        medians = torch.tensor([MEDIANS[0], setting.narrow_median], dtype=_EXACT)
        self.table = shapes[self.dataset[:, None], order] * medians[self.dataset][:, None]
        torch.manual_seed(seed)
        self.policy = nn.Sequential(
            nn.Linear(_FEATURES, _WIDTH), nn.Tanh(), nn.Linear(_WIDTH, 2 * CONTENTS)
        ).to(_EXACT)
        self.setting = setting
        if setting.conflict:
            self._learn_both()
        self.start = self._log_probabilities().detach()
        self.paid = self.table.clone()
        for number in range(2):
            scaled = _SCALES[setting.rewards](self._spread(number, seed))
            self.paid[self.dataset == number] = self.paid[self.dataset == number].apply_(scaled)

    def _log_probabilities(self) -> Tensor:
        """Return (prompts, answers); an answer is a content in good form or in bad form."""
        logits = self.policy(self.prompts)
        tilt = self.setting.tilt * self.quality
        bad = torch.full_like(tilt, self.setting.form_start)
        return torch.log_softmax(logits + torch.cat([tilt, tilt + bad], dim=1), dim=1)

    def _learn_both(self) -> None:
        """Train the start on good answers of both datasets, as SFT would."""
        target = torch.softmax(3 * self.quality, dim=1).repeat(1, 2) / 2
        optimizer = torch.optim.Adam(self.policy.parameters(), lr=0.02)
        for _ in range(200):
            optimizer.zero_grad()
            torch.sum(-target * self._log_probabilities(), dim=1).mean().backward()
            optimizer.step()

    def _spread(self, number: int, seed: int) -> Spread:
        """Return percentiles of the start's own samples, as `overread train reward-stats` does."""
        maker = torch.Generator().manual_seed(1000 + seed)
        mine = self.dataset == number
        taken = torch.multinomial(self.start[mine].exp(), 64, True, generator=maker) % CONTENTS
        return spread_of(self.table[mine].gather(1, taken).flatten().tolist(), PROMPTS)

    def reward(self, taken: Tensor) -> Tensor:
        """Return what answers pay under the setting, shape (prompts, group)."""
        paid = self.paid.gather(1, taken % CONTENTS)
        return paid + self.setting.form_weight * (taken < CONTENTS)

    def by_dataset(self, values: Tensor) -> tuple[float, float]:
        """Return the means of a value a prompt (and sample)."""
        means = [float(values[self.dataset == number].mean()) for number in range(2)]
        return means[0], means[1]

    def expected(self, logs: Tensor) -> tuple[float, float]:
        """Return the expected raw reward of each dataset."""
        return self.by_dataset((logs.exp() * self.table.repeat(1, 2)).sum(dim=1))


def _affine(spread: Spread) -> Callable[[float], float]:
    return lambda reward: (reward - spread.p50) / spread.scale


_SCALES: dict[Kind, Callable[[Spread], Callable[[float], float]]] = {
    "raw": lambda _: lambda reward: reward,
    "affine": _affine,
    "logistic": lambda spread: partial(normalise, spread=spread),
}


def run(setting: Setting, seed: int) -> Outcome:
    """Run GRPO; the same seed gives the same prompts, start and random numbers to every setting."""
    world, outcome = World(setting, seed), Outcome()
    sampler = torch.Generator().manual_seed(2000 + seed)
    weights = list(world.policy.parameters())
    kinds = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
    optimizer = kinds[setting.optimizer](weights, lr=setting.rate)
    before = world.expected(world.start)
    clipped = torch.zeros(2, dtype=_EXACT)
    for step in range(setting.steps):
        with torch.no_grad():
            old = world._log_probabilities()
        outcome.curve.append(_relative(world.expected(old), before))
        taken = torch.multinomial(old.exp(), GROUP, True, generator=sampler)
        gain = advantages(world.reward(taken), setting.scale)
        if step == 0:
            parts = [_gradient(world, taken, gain, old, world.dataset == d) for d in range(2)]
            norms = [float(part.norm()) for part in parts]
            outcome.share, outcome.first = norms[1] / sum(norms), parts[0] + parts[1]
        for _ in range(setting.iterations):
            optimizer.zero_grad()
            loss, out = _loss(world, taken, gain, old)
            loss.mean().backward()
            clipped += torch.tensor(world.by_dataset(out.to(_EXACT)), dtype=_EXACT)
            optimizer.step()
    with torch.no_grad():
        end = world._log_probabilities()
    outcome.curve.append(_relative(world.expected(end), before))
    outcome.form = world.by_dataset(end.exp()[:, :CONTENTS].sum(dim=1))
    outcome.kl = world.by_dataset((end.exp() * (end - world.start)).sum(dim=1))
    wide, narrow = (clipped / (setting.steps * setting.iterations)).tolist()
    outcome.clipped = (wide, narrow)
    return outcome


def _loss(world: World, taken: Tensor, gain: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss a prompt, and which samples are clipped: TRL's `_compute_loss`, one token."""
    logs = world._log_probabilities()
    now, then = logs.gather(1, taken), old.gather(1, taken)
    ratio = (now - then).exp()
    loss = -torch.min(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain)
    out = ((ratio < 1 - CLIP) & (gain < 0)) | ((ratio > 1 + CLIP) & (gain > 0))
    if world.setting.beta:
        away = world.start.gather(1, taken) - now
        loss = loss + world.setting.beta * (away.exp() - away - 1)
    return loss.mean(dim=1), out


def _gradient(world: World, taken: Tensor, gain: Tensor, old: Tensor, mine: Tensor) -> Tensor:
    loss, _ = _loss(world, taken, gain, old)
    total = (loss * mine).mean()
    parts = torch.autograd.grad(total, list(world.policy.parameters()))
    return torch.cat([part.flatten() for part in parts])


def _relative(now: tuple[float, float], before: tuple[float, float]) -> tuple[float, float]:
    return now[0] / before[0], now[1] / before[1]


def _mean(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    wide, narrow = np.asarray(pairs).mean(axis=0).tolist()
    return wide, narrow


def cases() -> dict[str, list[Setting]]:
    """Return the settings of the table, by case; the first of a case is what others compare with."""
    group = Setting("")
    none, batch = replace(group, scale="none"), replace(group, scale="batch")

    def three(setting: Setting, **changes: object) -> list[Setting]:
        kinds: tuple[Kind, ...] = ("raw", "affine", "logistic")
        return [replace(setting, name=kind, rewards=kind, **changes) for kind in kinds]  # type: ignore[arg-type]

    return {
        "1 group std": three(group),
        "2 no std (Dr. GRPO)": three(none),
        "3 batch std": three(batch),
        "4 no std, AdamW": three(none, optimizer="adamw", rate=0.01),
        "5 group std, heavy tail": three(group, narrow_shape=TAIL),
        "6 group std, far from the baseline": three(group, narrow_shape=FAR, tilt=-4.0),
        "7 group std, form reward 0.1": three(group, form_weight=0.1, form_start=1.0),
        "8 no std, KL 0.04": three(none, beta=0.04),
        "8 group std, KL 0.04": three(group, beta=0.04),
        "9 no std, 4 updates a batch": three(none, iterations=4, rate=1.5),
        "9 group std, 4 updates a batch": three(group, iterations=4, rate=1.5),
        "10 group std, narrow median 0.0004": three(group, narrow_median=0.0004),
        "11 group std, conflict": three(group, conflict=True),
        "11 no std, conflict": three(none, conflict=True),
        "11 batch std, conflict": three(batch, conflict=True),
        "11 no std, conflict, KL 0.04": three(none, conflict=True, beta=0.04),
    }  # fmt: skip


def summary(settings: Sequence[Setting], seeds: int) -> list[list[str]]:
    """Return a row of the table a setting: means over seeds, and the spread where it matters."""
    rows: list[list[str]] = []
    reference: list[Tensor] = []
    for setting in settings:
        runs = [run(setting, seed) for seed in range(seeds)]
        first = [one.first for one in runs]
        reference = reference or first
        alike = [float(torch.cosine_similarity(a, b, dim=0)) for a, b in
                 zip(first, reference, strict=True)]  # fmt: skip
        curve = np.asarray([one.curve for one in runs]).mean(axis=0)
        lowest = np.asarray([one.curve for one in runs]).min(axis=1).mean(axis=0)
        quarter, end = curve[len(curve) // 4], curve[-1]
        share = float(np.mean([one.share for one in runs]))
        rows.append(
            [
                setting.name, f"{share:.3f}", f"{np.mean(alike):.6f}",
                *(f"{quarter[d]:.2f}, {end[d]:.2f} ({lowest[d]:.2f})" for d in range(2)),
                *(_pair([getattr(one, name) for one in runs]) for name in
                  ("form", "kl", "clipped")),
            ]
        )  # fmt: skip
    return rows


def _pair(pairs: Sequence[tuple[float, float]]) -> str:
    wide, narrow = _mean(pairs)
    return f"{wide:.2f}, {narrow:.2f}"


HEADINGS = (
    "case", "rewards", "narrow's share", "cosine to raw", "wide: 1/4, end (lowest)",
    "narrow: 1/4, end (lowest)", "good form", "KL", "clipped",
)  # fmt: skip


def main() -> None:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)  # the networks are far too small to share
    table = Table(*HEADINGS, box=MARKDOWN)
    for case, settings in cases().items():
        for row in summary(settings, args.seeds):
            table.add_row(case, *row)
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
