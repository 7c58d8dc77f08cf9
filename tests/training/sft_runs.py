"""Configurations of short trainings on a tiny model, as YAML files that the command line reads."""

from pathlib import Path
from typing import Any

import yaml

SOURCES: list[dict[str, Any]] = [
    {"source": "phantoms", "task": "closed", "patients": 7, "weight": 2},
    {"source": "phantoms", "task": "report", "patients": 7, "weight": 1},
]


def write_mix(folder: Path, sources: list[dict[str, Any]] | None = None, **keys: Any) -> Path:
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump({"sources": sources or SOURCES, **keys}))
    return path


def write_config(folder: Path, model: Path | str, mix: Path | str, **keys: Any) -> Path:
    told: dict[str, Any] = {
        "model_name_or_path": str(model), "mix": str(mix), "output_dir": str(folder / "run"),
        "use_cpu": True, "bf16": False, "max_steps": 4, "per_device_train_batch_size": 2,
        "logging_steps": 1, "save_steps": 2, "learning_rate": 1e-3, "max_length": None,
        "gradient_checkpointing": False, "seed": 3,
    }  # fmt: skip
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(told | keys))
    return path
