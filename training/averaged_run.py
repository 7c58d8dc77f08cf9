"""A small network in training: AdamW on a one-cycle rate, a running average, one checkpoint."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch
from rich.progress import Progress
from torch import Tensor, nn

from overread.imaging.files import ORDINARY, open_whole

B = TypeVar("B")
_KEEP = 0.995
_CLIP = 1.0
_SAVE_EVERY = 50


class AveragedRun:
    """Modules that are trained together; the first one is what the training is for.

    Attributes:
        step: Steps taken.
        average: Running average of the first module's state.
    """

    def __init__(
        self, folder: Path, modules: Mapping[str, nn.Module], steps: int, rate: float
    ) -> None:
        """Start, or go on from the folder's checkpoint.

        Args:
            folder: Of checkpoint and log; it exists.
            modules: By their name in the checkpoint.
            steps: Of the whole training.
            rate: Peak learning rate.
        """
        self._folder, self._modules, self._steps = folder, dict(modules), steps
        self._first = next(iter(self._modules.values()))
        self.average = {name: value.clone() for name, value in self._first.state_dict().items()}
        weights = [value for module in self._modules.values() for value in module.parameters()]
        self._optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, rate, total_steps=steps + 1, pct_start=0.08
        )
        self.step = 0
        self._checkpoint = folder / "checkpoint.pt"
        if self._checkpoint.exists():
            self._resume()

    def learn(self, parts: Mapping[str, Tensor]) -> dict[str, float]:
        """Take one step down the sum of losses, and return them."""
        total = torch.stack(list(parts.values())).sum()
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self._first.parameters(), _CLIP)
        self._optimiser.step()
        self._schedule.step()
        self.step += 1
        keep = min(_KEEP, self.step / (self.step + 10))
        with torch.no_grad():
            for name, value in self._first.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)
        return {name: value.item() for name, value in parts.items()}

    def go(self, draw: Callable[[int], B], learn: Callable[[B], dict[str, float]]) -> None:
        """Train to the last step; the next batch is drawn while the present one is learnt.

        Args:
            draw: Gives the batch of a step.
            learn: Takes the step on a batch, by `learn` above.
        """
        log = self._folder / "log.jsonl"
        with ThreadPoolExecutor(1) as drawer, Progress() as progress, log.open("a") as file:
            bar = progress.add_task("train", total=self._steps, completed=self.step)
            coming = drawer.submit(draw, self.step)
            while self.step < self._steps:
                batch = coming.result()
                coming = drawer.submit(draw, self.step + 1)
                told = learn(batch)
                progress.advance(bar)
                file.write(json.dumps({"step": self.step, **told}) + "\n")
                if self.step % _SAVE_EVERY == 0:
                    file.flush()
                    self.save()
        self.save()

    def save(self) -> None:
        """Write the checkpoint whole."""
        state = {
            "step": self.step,
            "average": self.average,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            **{name: module.state_dict() for name, module in self._modules.items()},
        }
        with open_whole(self._checkpoint, mode=ORDINARY) as file:
            torch.save(state, file)

    def _resume(self) -> None:
        state = torch.load(self._checkpoint, weights_only=True)
        self.step, self.average = state["step"], state["average"]
        for name, module in self._modules.items():
            module.load_state_dict(state[name])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
