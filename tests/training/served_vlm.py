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
from overread.training.greedy import Prompt, encode

TARGETS = r".*text_model.*\.(q_proj|v_proj|down_proj)"


@cache
def processor() -> Any:
    return build_processor(load_tokenizer())


def teach(pupil: Any, answers: list[str], steps: int = 60, rate: float = 3e-3) -> None:
    """Train what is trainable of a model until it gives these answers to `prompts`."""
    rows = [encode(processor(), prompt) for prompt in prompts(len(answers))]
    ends = [processor().tokenizer(f"{text}<|im_end|>").input_ids for text in answers]
    whole = [row["input_ids"][0].tolist() + end for row, end in zip(rows, ends, strict=True)]
    longest = max(map(len, whole))
    pad = processor().tokenizer.pad_token_id
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in whole])
    labels = torch.full_like(ids, -100)
    for place, (row, end) in enumerate(zip(whole, ends, strict=True)):
        labels[place, len(row) - len(end) : len(row)] = torch.tensor(end)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in whole])
    pixels = torch.cat([row["pixel_values"] for row in rows])
    wanted = labels[:, 1:][labels[:, 1:] != -100]
    inner = pupil.get_base_model() if hasattr(pupil, "get_base_model") else pupil
    learnt = [parameter for parameter in pupil.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=rate)
    for _ in range(steps):
        states = inner.model(input_ids=ids, attention_mask=mask, pixel_values=pixels)[0][:, :-1]
        logits = inner.lm_head(states[labels[:, 1:] != -100])  # the vocabulary is large
        torch.nn.functional.cross_entropy(logits, wanted).backward()
        optimiser.step()
        optimiser.zero_grad()


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


def save_taught_run(folder: Path) -> Path:
    """Write a bfloat16 base that says one thing, and a LoRA run with its connector for another."""
    pupil = model()
    with torch.no_grad():
        for parameter in pupil.parameters():
            if parameter.ndim > 1:
                parameter.div_(4.0)  # as it would be initialised for training
    other = [f"Yes, finding {place} is there." for place in range(8)]
    teach(pupil, other, steps=40)  # the adapter can turn answers, not make words known
    teach(pupil, [f"No, finding {place} is absent." for place in range(8)], steps=40)
    base = folder / "base"
    pupil.bfloat16().save_pretrained(base)
    processor().save_pretrained(base)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, modules_to_save=["connector"])
    adapted = get_peft_model(pupil.float(), config)
    teach(adapted, other, steps=40, rate=5e-3)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    checkpoint = folder / "run" / "checkpoint-60"
    adapted.bfloat16().save_pretrained(str(checkpoint))
    processor().save_pretrained(checkpoint)
    return folder / "run"


def prompts(number: int = 4) -> list[Prompt]:
    made = []
    for place in range(number):
        picture = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), (place * 9 % 256, 80, 160))
        messages = direct_messages([data_url(picture)], f"Is finding {place} there?")
        made.append(Prompt(messages, [picture]))
    return made
