"""A vision-language model of a few thousand weights that learns some conversations by heart.

The architecture, processor class and chat template are the bundled planner's; the tokenizer knows the
words it was made from, letter by letter where needed, so that decoding gives back the text exactly.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from overread.agent.architecture import CHAT_TEMPLATE, IMAGE_MARKS
from overread.agent.prompts import for_template

SIZE, PATCH, FACTOR, WIDTH = 224, 56, 2, 48
TOKENS = (SIZE // PATCH // FACTOR) ** 2
Message = dict[str, Any]
Lesson = tuple[Sequence[Message], Sequence[Image.Image], str]
"""A prompt, its pictures, and the reply."""

_PIECES = r"\w+|\s|[^\w\s]"


def make_processor(texts: Sequence[str]) -> SmolVLMProcessor:
    """Return a processor that knows every word of some texts."""
    pieces = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    words = {piece for text in (*texts, "system user assistant \n") for piece, _ in
             pieces.pre_tokenize_str(text)}  # fmt: skip
    special = ["<|pad|>", "<|unk|>", "<|im_start|>", "<|im_end|>", *IMAGE_MARKS.values()]
    vocabulary = {word: n for n, word in enumerate([*special, *sorted(words)])}
    backend = Tokenizer(models.WordLevel(vocabulary, "<|unk|>"))
    backend.pre_tokenizer = pieces
    backend.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<|pad|>", unk_token="<|unk|>", eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>", *IMAGE_MARKS.values()],
    )  # fmt: skip
    tokenizer.image_token = "<image>"
    size: dict[str, Any] = {
        "size": {"longest_edge": SIZE},
        "max_image_size": {"longest_edge": SIZE},
    }
    return SmolVLMProcessor(
        SmolVLMImageProcessor(do_image_splitting=False, **size),
        tokenizer,
        SmolVLMVideoProcessor(**size),
        image_seq_len=TOKENS,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(processor: SmolVLMProcessor) -> SmolVLMForConditionalGeneration:
    """Return a model of two layers with random weights, always the same."""
    tokenizer = processor.tokenizer
    shape = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_attention_heads": 2}
    text: dict[str, Any] = {
        "model_type": "llama", "vocab_size": len(tokenizer), "num_hidden_layers": 2,
        "num_key_value_heads": 2, "max_position_embeddings": 4096, **shape,
    }  # fmt: skip
    vision = {"num_hidden_layers": 1, "image_size": SIZE, "patch_size": PATCH, **shape}
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = SmolVLMConfig(
        text_config={**text, **ids, "bos_token_id": None},
        vision_config=vision,
        scale_factor=FACTOR,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=True,
        **ids,
    )
    torch.manual_seed(0)
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model.eval()


def learn(
    model: SmolVLMForConditionalGeneration,
    processor: SmolVLMProcessor,
    lessons: Sequence[Lesson],
    steps: int = 120,
) -> float:
    """Train on all lessons at once until the replies are known by heart; return the last loss."""
    prompts = [
        processor.apply_chat_template(
            for_template(prompt), add_generation_prompt=True, tokenize=False
        )
        for prompt, _, _ in lessons
    ]
    texts = [
        f"{prompt}{reply}<|im_end|>" for prompt, (_, _, reply) in zip(prompts, lessons, strict=True)
    ]
    images = [list(pictures) for _, pictures, _ in lessons]
    batch = processor(
        text=texts, images=images, padding=True, padding_side="left", return_tensors="pt"
    )
    labels = torch.full_like(batch["input_ids"], -100)
    for row, (_, _, reply) in enumerate(lessons):
        kept = len(processor.tokenizer(reply, add_special_tokens=False)["input_ids"]) + 1
        labels[row, -kept:] = batch["input_ids"][row, -kept:]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    loss = torch.tensor(float("inf"))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(**batch, labels=labels).loss
        if float(loss.detach()) < 0.005:
            break
        loss.backward()
        optimizer.step()
    model.eval()
    return float(loss.detach())
