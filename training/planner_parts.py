"""The parts of the bundled planner that are trained: LoRA on its text, connector, vision tower.

In bfloat16 with float32 master weights. What is ours is saved beside each checkpoint, so that any
trainer of TRL's leaves weights that the planner can be assembled from.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase

from overread.agent.architecture import build_model
from overread.agent.bundled import OURS, our_tensors
from overread.imaging.errors import ConfigError
from overread.training import manifest
from overread.training.arguments import OurArguments
from overread.training.master_adamw import MasterAdamW

IGNORED = -100
TARGETS = r".*text_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
RANK, ALPHA = 32, 64
"""Of the recipe of the bundled planner."""

LORA = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS)
PARTS = ("lora_", "connector", "vision_model")
_PREFIX = "base_model.model."  # what PEFT puts before the names


def build(
    tokenizer: PreTrainedTokenizerBase,
    vision: Path | None = None,
    start: Path | None = None,
    config: LoraConfig = LORA,
) -> PeftModel:
    """Return the planner to be trained.

    Args:
        tokenizer: Of the base.
        vision: Safetensors of the pretrained tower; the rest begins anew.
        start: All that is ours, of an earlier run, a file or its folder; wins over `vision`.
        config: Of the adapter.

    Raises:
        ConfigError: A file is not there, or not of this architecture.
    """
    model = build_model(tokenizer)
    tower = _tensors(vision) if vision is not None and start is None else {}
    torch.manual_seed(0)
    try:
        if tower:
            model.model.vision_model.load_state_dict(tower)
        adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
        let_learn(adapted, PARTS)
        if start is not None:
            given = {f"{_PREFIX}{_named(name)}": value for name, value in _tensors(start).items()}
            if adapted.load_state_dict(given, strict=False).unexpected_keys:
                raise RuntimeError("it has tensors that the planner has not")
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{start or vision} does not fit the bundled planner with this adapter: {said}"
        ) from error
    return adapted


def let_learn(model: torch.nn.Module, parts: Sequence[str]) -> None:
    """Compute gradients for some of `PARTS` and nothing else."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in parts))


def learning(ours: OurArguments) -> list[str]:
    """Return the parts that learn: those whose rate is not 0."""
    return [part for part, rate in rates(ours, 1.0).items() if rate]


def save_ours(model: torch.nn.Module, folder: Path, known: Sequence[str]) -> None:
    """Write adapter, connector and vision tower as bfloat16 safetensors, with their manifest."""
    manifest.write(folder, known)
    state = {
        name.removeprefix(_PREFIX): tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if any(part in name for part in PARTS) and ".ref." not in name  # GRPO's frozen reference
    }
    save_file(state, folder / OURS)


def rates(ours: OurArguments, learning_rate: float) -> dict[str, float]:
    """Return the learning rate of each part."""
    return {
        "lora_": learning_rate,
        "connector": learning_rate * ours.connector_rate,
        "vision_model": learning_rate * ours.vision_rate,
    }


def optimizer_for(model: torch.nn.Module, by_part: dict[str, float], args: Any) -> MasterAdamW:
    """Return AdamW over float32 copies, with a learning rate for each part.

    Args:
        model: To be trained.
        by_part: Learning rates, by a part of the names.
        args: TRL's arguments: weight decay and betas.
    """
    groups = [
        {
            "params": [p for n, p in model.named_parameters() if part in n and p.requires_grad],
            "lr": rate,
        }
        for part, rate in by_part.items()
    ]
    filled = [group for group in groups if group["params"]]
    betas = (args.adam_beta1, args.adam_beta2)
    return MasterAdamW(filled, weight_decay=args.weight_decay, betas=betas, eps=args.adam_epsilon)


class PlannerParts:
    """To be mixed in before a guarded trainer of TRL's that trains the bundled planner.

    Attributes:
        ours: Our part of the configuration; set before training.
        known: Lines of the manifest of what it is trained on.
    """

    args: Any
    model: Any
    optimizer: Any
    ours: OurArguments
    known: Sequence[str] = ()

    def create_optimizer(self, model: Any = None) -> Any:
        """Return AdamW over float32 copies."""
        if self.optimizer is None:
            by_part = rates(self.ours, self.args.learning_rate)
            self.optimizer = optimizer_for(self.model, by_part, self.args)
        return self.optimizer

    def also_save(self, folder: Path) -> None:
        """Write what is ours into a checkpoint."""
        save_ours(self.model, folder / "ours", self.known)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Leave the weights to the optimiser, whose float32 copies restore every one of them.

        A checkpoint's adapter is without connector and tower, and loading it would replace the
        parameters that the optimiser follows.
        """


def _named(name: str) -> str:
    """Return a name as PEFT has it, with or without its adapter's name in the file."""
    for part in ("lora_A", "lora_B"):
        name = name.replace(f".{part}.weight", f".{part}.default.weight")
    return name


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not (path / OURS if path.is_dir() else path).is_file():
        raise ConfigError(f"there are no weights at {path}")
    try:
        return our_tensors(path) if path.is_dir() else load_file(path)
    except Exception as error:  # safetensors' own class is no subclass of a common one
        raise ConfigError(f"the weights {path} are no safetensors: {error}") from error
