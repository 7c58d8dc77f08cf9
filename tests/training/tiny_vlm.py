"""A SmolVLM of few and narrow layers with the bundled planner's tokenizer, and runs that train it."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

from overread.agent.architecture import IMAGE_SIZE, SCALE_FACTOR, build_processor, load_tokenizer
from overread.agent.prompts import direct_messages
from overread.imaging.render import data_url
from overread.training.greedy import Prompt

TARGETS = r".*text_model.*\.(q_proj|v_proj|down_proj)"


@cache
def processor() -> Any:
    return build_processor(load_tokenizer())


def model(dtype: torch.dtype = torch.float32) -> Any:
    """Random, but sure of itself: its logits are wide apart.

    Heads are 32 wide: vLLM's attention on CPUs has none that are narrower.
    """
    tokenizer = processor().tokenizer
    text = {
        "model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": 64,
        "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 32, "max_position_embeddings": 2048,
        "tie_word_embeddings": True,  # read here by vLLM, else its head stays empty
    }  # fmt: skip
    vision = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": IMAGE_SIZE, "patch_size": 16,
    }  # fmt: skip
    options: dict[str, Any] = {
        "text_config": text, "vision_config": vision, "scale_factor": SCALE_FACTOR,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id, "tie_word_embeddings": True,
    }  # fmt: skip
    torch.manual_seed(0)
    made = SmolVLMForConditionalGeneration(SmolVLMConfig(**options))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8.0)
    made.generation_config.pad_token_id = tokenizer.pad_token_id
    made.generation_config.eos_token_id = tokenizer.eos_token_id
    return made.to(dtype).eval()


def save_base(folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    model(dtype).save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


def save_run(
    folder: Path,
    base: Path,
    modules_to_save: list[str] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write what TRL leaves of a LoRA run: a checkpoint with adapter and processor."""
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, modules_to_save=modules_to_save)
    adapted = get_peft_model(model(dtype), config, autocast_adapter_dtype=False)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.3 * torch.randn_like(parameter))
            elif "modules_to_save" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    checkpoint = folder / "checkpoint-3"
    adapted.save_pretrained(str(checkpoint))
    processor().save_pretrained(checkpoint)
    return folder


def prompts(number: int = 4) -> list[Prompt]:
    made = []
    for place in range(number):
        picture = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), (place * 9 % 256, 80, 160))
        messages = direct_messages([data_url(picture)], f"Is finding {place} there?")
        made.append(Prompt(messages, [picture]))
    return made
