"""AdamW for bfloat16 weights that keeps float32 copies, so that small updates are not lost."""

from collections.abc import Callable
from typing import Any

import torch


class MasterAdamW(torch.optim.AdamW):
    """AdamW over float32 copies of the parameters; the parameters follow after each step.

    Source: mixed-precision training, arXiv:1710.03740, section 3.1.
    """

    def __init__(self, groups: list[dict[str, Any]], **options: Any) -> None:
        """Copy the parameters of each group."""
        self._followers: list[torch.nn.Parameter] = []
        masters = []
        for group in groups:
            copies = [
                torch.nn.Parameter(parameter.detach().float()) for parameter in group["params"]
            ]
            self._followers += group["params"]
            masters.append({**group, "params": copies})
        super().__init__(masters, **options)

    def _pairs(self) -> list[tuple[torch.nn.Parameter, torch.nn.Parameter]]:
        masters = [parameter for group in self.param_groups for parameter in group["params"]]
        return list(zip(masters, self._followers, strict=True))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:  # type: ignore[override]
        """Update the copies, then round them into the parameters."""
        for master, follower in self._pairs():
            master.grad = None if follower.grad is None else follower.grad.float()
        result = super().step(closure)
        for master, follower in self._pairs():
            master.grad = None
            follower.copy_(master)
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of the parameters."""
        for _, follower in self._pairs():
            follower.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Include the copies, so that a resumed run goes on exactly."""
        masters = [master.detach() for master, _ in self._pairs()]
        return {**super().state_dict(), "masters": masters}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the copies too."""
        state = dict(state)
        masters = state.pop("masters")
        super().load_state_dict(state)
        for (master, follower), saved in zip(self._pairs(), masters, strict=True):
            master.copy_(saved)
            follower.copy_(saved)
