"""A tiny model to be trained, and configurations of short trainings as users write them."""

from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import (
    PreTrainedTokenizerBase,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from overread.agent.architecture import (
    IMAGE_SIZE,
    PATCH,
    SCALE_FACTOR,
    build_processor,
    load_tokenizer,
)

WIDTH = 64  # bitsandbytes quantises blocks of 64 weights

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


def tiny_model(tokenizer: PreTrainedTokenizerBase) -> SmolVLMForConditionalGeneration:
    """Return a model of two layers in the bundled planner's architecture, always the same."""
    shape = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_attention_heads": 2}
    text: dict[str, Any] = {
        "model_type": "llama", "vocab_size": len(tokenizer), "num_hidden_layers": 2,
        "num_key_value_heads": 2, "max_position_embeddings": 2048,
        "pad_token_id": tokenizer.pad_token_id, **shape,
    }  # fmt: skip
    vision = {"num_hidden_layers": 1, "image_size": IMAGE_SIZE, "patch_size": PATCH, **shape}
    config = SmolVLMConfig(
        text_config=text,
        vision_config=vision,
        scale_factor=SCALE_FACTOR,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def save_base(folder: Path) -> Path:
    """Save the tiny model with the bundled planner's tokenizer and chat template."""
    tokenizer = load_tokenizer()
    tiny_model(tokenizer).save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    return folder
