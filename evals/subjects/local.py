"""A transformers image-text-to-text model in this process, from a local folder."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from overread.agent.prompts import direct_messages, for_template
from overread.agent.threads import in_thread
from overread.agent.verifier import abstains
from overread.evals.items import Item
from overread.evals.subjects.base import Reply
from overread.evals.subjects.pictures import render
from overread.imaging.errors import ConfigError
from overread.index.embedder import identity

IMAGE_SIZE, MAX_TOKENS = 1024, 512


class LocalSubject:
    """Greedy decoding, one question at a time; safetensors only, no code of the model's own."""

    def __init__(self, folder: Path, more: Mapping[str, Any]) -> None:
        """Hash the weights; they are loaded by the first question.

        Args:
            folder: With `config.json`, the processor's files and safetensors.
            more: What decides the answers beside the model.

        Raises:
            ConfigError: It is no such folder.
        """
        if not (folder / "config.json").is_file():
            raise ConfigError(f"{folder} is no model folder: it has no config.json")
        self.name = f"local:{folder.name}"
        self.identity: Mapping[str, Any] = {
            "kind": "local",
            "weights": identity("local", folder),
            **more,
        }
        self._folder = folder
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    async def answer(self, item: Item, prompt: str, seed: int) -> Reply:
        """As `Subject.answer`."""

        def work() -> Reply:
            pictures = render(item, IMAGE_SIZE)
            with self._lock:
                text, confidence = self._generate(pictures, prompt)
            return Reply(text=text, confidence=confidence, abstained=abstains(text))

        return await in_thread(work)

    async def close(self) -> None:
        """Let the model go."""
        self._loaded = None

    def _generate(self, pictures: list[PIL.Image.Image], prompt: str) -> tuple[str, float]:
        """Return the answer and the geometric mean of its tokens' probabilities."""
        processor, model = self._load()
        messages = for_template(direct_messages([""] * len(pictures), prompt))
        words = processor.apply_chat_template(messages, add_generation_prompt=True)
        inputs = processor(text=words, images=pictures or None, return_tensors="pt")
        inputs = inputs.to(model.device)
        with torch.inference_mode():
            out = model.generate(
                **inputs, max_new_tokens=MAX_TOKENS, do_sample=False,
                return_dict_in_generate=True, output_scores=True,
            )  # fmt: skip
        start = inputs["input_ids"].shape[1]
        scores = model.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)
        text = processor.batch_decode(out.sequences[:, start:], skip_special_tokens=True)[0]
        return text.strip(), float(scores.float().mean().exp())

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            common = {"local_files_only": True, "trust_remote_code": False}
            try:
                processor = AutoProcessor.from_pretrained(self._folder, **common)
                model = AutoModelForImageTextToText.from_pretrained(
                    self._folder, use_safetensors=True, dtype="auto", **common
                )
            except (OSError, ValueError, KeyError) as error:
                raise ConfigError(
                    f"the model in {self._folder} cannot be loaded: {' '.join(str(error).split())}"
                ) from error
            device = "cuda" if torch.cuda.is_available() else "cpu"
            moved: Any = model
            self._loaded = processor, moved.to(device).eval()
        return self._loaded
