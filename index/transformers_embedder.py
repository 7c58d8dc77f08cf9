"""Embedders in transformers' format: CLIP, SigLIP and their kin."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image as PILImage
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from overread.imaging.errors import ConfigError
from overread.index.embedder import Vectors, identity, no_vectors, safetensors_in, unit
from overread.index.patches import of_transformers


class TransformersEmbedder:
    """A dual encoder from a folder with `config.json`, safetensors and its processors.

    Raises:
        ConfigError: The folder is incomplete, or its model is not a dual encoder.
    """

    def __init__(self, folder: Path) -> None:
        """Load model, tokenizer and image processor from the folder alone."""
        self._folder = folder
        safetensors_in(folder)
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            model = AutoModel.from_pretrained(folder, use_safetensors=True, **local)
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **local)
            self._processor = AutoImageProcessor.from_pretrained(folder, **local)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            first_line = str(error).splitlines()[0][:200]
            raise ConfigError(f"The embedder in {folder} cannot be loaded: {first_line}") from error
        if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
            raise ConfigError(
                f"The model in {folder} ({model.config.model_type}) does not embed images and "
                "texts into one space; give a CLIP or SigLIP model."
            )
        self.name = identity(model.config.model_type, folder)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.eval().to(self._device)
        self._max_tokens = int(model.config.text_config.max_position_embeddings)
        self.dim = int(self._text_features([""]).shape[1])

    def __reduce__(self) -> tuple[type["TransformersEmbedder"], tuple[Path]]:
        """Go to another process as the folder, and be loaded there."""
        return TransformersEmbedder, (self._folder,)

    def embed_images(self, images: list[PILImage.Image]) -> Vectors:
        """Return one unit vector per image, shape (n, dim)."""
        if not images:
            return no_vectors(self.dim)
        with torch.inference_mode():
            return unit(_tensor(self._image_features(images)).float().cpu().numpy())

    def embed_patches(self, image: PILImage.Image) -> Vectors:
        """Return vectors of the patches of a square picture, float32 (rows, columns, dim).

        Raises:
            ConfigError: The model is of a kind whose patches are not known.
        """
        with torch.inference_mode():
            outputs = self._image_features([image])
            return of_transformers(self._model, outputs).float().cpu().numpy()

    def embed_texts(self, texts: list[str]) -> Vectors:
        """Return one unit vector per text, shape (n, dim)."""
        return (
            unit(self._text_features(texts).float().cpu().numpy())
            if texts
            else no_vectors(self.dim)
        )

    def _image_features(self, images: list[PILImage.Image]) -> Any:
        inputs = self._processor([image.convert("RGB") for image in images], return_tensors="pt")
        return self._model.get_image_features(**inputs.to(self._device))

    def _text_features(self, texts: list[str]) -> torch.Tensor:
        # SigLIP was trained on padding to the full length and gives other vectors without it;
        # CLIP masks padding, so the same call serves both.
        inputs = self._tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
        )
        with torch.inference_mode():
            return _tensor(self._model.get_text_features(**inputs.to(self._device)))


def _tensor(features: torch.Tensor | object) -> torch.Tensor:
    """Take the projected vector: a tensor before transformers 5, a field of an output since."""
    return features if isinstance(features, torch.Tensor) else features.pooler_output  # type: ignore[attr-defined]
