"""The bundled planner's architecture in small: the same tokenizer, processor and chat template."""

from pathlib import Path
from typing import Any

import torch
from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration, SmolVLMProcessor

from overread.agent.architecture import (
    IMAGE_SIZE,
    PATCH,
    SCALE_FACTOR,
    build_processor,
    load_tokenizer,
)

WIDTH = 32


def save_planner(folder: Path) -> Path:
    """Save an untrained planner of two layers."""
    tokenizer = load_tokenizer()
    text: dict[str, Any] = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
    }
    vision: dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
    }
    config = SmolVLMConfig(
        text_config=text,
        vision_config=vision,
        scale_factor=SCALE_FACTOR,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    processor = build_processor(tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def load_planner(folder: Path) -> tuple[SmolVLMForConditionalGeneration, SmolVLMProcessor]:
    """Return model and processor; TRL finds the reference model by the folder's name."""
    model = SmolVLMForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model, build_processor(load_tokenizer())
