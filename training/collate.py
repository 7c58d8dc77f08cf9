"""Batches from examples. Images are opened when their batch is made, never stored."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image as PILImage
from pydantic import TypeAdapter
from transformers import PreTrainedTokenizerBase
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from overread.agent.architecture import IMAGE_SIZE, build_processor
from overread.agent.prompts import for_template
from overread.training.examples import Example, ImageRef, open_image
from overread.training.planner_parts import IGNORED

BRIGHTNESS = (0.85, 1.2)
"""Range of the exponent that a view's grey levels are raised to in training."""

_REF: TypeAdapter[Any] = TypeAdapter(ImageRef)


def encode(example: Example, tokenizer: PreTrainedTokenizerBase, image_text: str) -> dict[str, Any]:
    """Tokenise an example for the bundled planner; labels only on the messages to be learnt.

    The split at message borders equals what the server sees: a prompt, then a reply.

    Args:
        example: With its conversation.
        tokenizer: Of the planner.
        image_text: What the processor puts in the place of one image; see `image_marks`.
    """
    ids: list[int] = []
    labels: list[int] = []
    learn = iter(learnt(example))

    def add(text: str, is_learnt: bool = False) -> None:
        tokens = tokenizer(text, add_special_tokens=False).input_ids
        ids.extend(tokens)
        labels.extend(tokens if is_learnt else [IGNORED] * len(tokens))

    for message in example.messages:
        content = message["content"]
        if not isinstance(content, str):
            content = "".join(
                image_text if part["type"] == "image" else part["text"] for part in content
            )
        add(f"<|im_start|>{message['role']}\n")
        if message["role"] == "assistant":
            add(f"{content}<|im_end|>", is_learnt=next(learn))
            add("\n")
        else:
            add(f"{content}<|im_end|>\n")
    return {
        "input_ids": ids,
        "labels": labels,
        "length": len(ids),
        "images": [ref.model_dump_json() for ref in example.images],
    }


def learnt(example: Example) -> list[bool]:
    """Return for each assistant message whether it is learnt."""
    replies = sum(message["role"] == "assistant" for message in example.messages)
    return [True] * replies if example.learn is None else example.learn


def turns(example: Example) -> list[dict[str, Any]]:
    """Return a row for each message to be learnt: what goes before it, and itself.

    The prompt-completion form is the one in which TRL masks a conversation whatever the model's
    chat template.
    """
    marks = iter(learnt(example))
    rows = []
    for place, message in enumerate(example.messages):
        if message["role"] == "assistant" and next(marks):
            before = example.messages[:place]
            rows.append(
                {
                    "prompt": json.dumps(before),
                    "completion": json.dumps([message]),
                    "images": [
                        ref.model_dump_json() for ref in example.images[: _image_parts(before)]
                    ],
                }
            )
    return rows


def image_marks(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what the processor puts in the place of one image."""
    processor = build_processor(tokenizer)
    blank = PILImage.new("RGB", (IMAGE_SIZE, IMAGE_SIZE))
    ids = processor(text=["<image>"], images=[[blank]])["input_ids"][0]
    return str(tokenizer.decode(ids))


class PlannerCollator:
    """Pads a batch for the bundled planner and shows its images, a little brighter or darker.

    How much depends on seed and example alone, so that a resumed run sees what it would have seen.
    """

    def __init__(self, pad: int, seed: int) -> None:
        """Pad with token `pad`."""
        self._pad = pad
        self._seed = seed

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return input_ids, attention_mask, labels (n, longest) and pixel_values."""
        longest = max(len(row["input_ids"]) for row in rows)

        def padded(key: str, value: int) -> torch.Tensor:
            return torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in rows])

        ids = padded("input_ids", self._pad)
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        most = max(1, *(len(row["images"]) for row in rows))
        pixels = torch.zeros(len(rows), most, 3, IMAGE_SIZE, IMAGE_SIZE)
        shown = torch.zeros(len(rows), most, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.bool)
        for i, row in enumerate(rows):
            for j, ref in enumerate(row["images"]):
                pixels[i, j] = self._view(ref, f"{self._seed}/{row['place']}/{j}")
                shown[i, j] = True
        batch = {
            "input_ids": ids,
            "attention_mask": (torch.arange(longest)[None] < lengths[:, None]).long(),
            "labels": padded("labels", IGNORED),
        }
        if shown.any():
            batch |= {"pixel_values": pixels.to(torch.bfloat16), "pixel_attention_mask": shown}
        return batch

    def _view(self, ref: str, key: str) -> torch.Tensor:
        picture = open_image(_REF.validate_json(ref), IMAGE_SIZE)
        unit = torch.from_numpy(np.asarray(picture, np.float32) / 255.0)
        drawn = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest()) / 2**32
        unit = unit.pow(BRIGHTNESS[0] + (BRIGHTNESS[1] - BRIGHTNESS[0]) * drawn)
        return unit.permute(2, 0, 1) * 2 - 1


class TurnCollator:
    """Opens the images of `turns` and leaves the rest to TRL's own collator."""

    def __init__(self, processor: Any, max_length: int | None, size: int) -> None:
        """Cut at `max_length` tokens; show views of `size` pixels."""
        self._size = size
        self._trl = DataCollatorForVisionLanguageModeling(
            processor=processor, max_length=max_length, completion_only_loss=True
        )

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return what TRL's collator does, which would put images before a message in plain text."""
        return self._trl(
            [
                {
                    "prompt": for_template(json.loads(row["prompt"])),
                    "completion": json.loads(row["completion"]),
                    "images": [
                        open_image(_REF.validate_json(ref), self._size) for ref in row["images"]
                    ],
                }
                for row in rows
            ]
        )


def _image_parts(messages: Sequence[dict[str, Any]]) -> int:
    return sum(
        part["type"] == "image"
        for message in messages
        if not isinstance(message["content"], str)
        for part in message["content"]
    )
