"""Embedders in open_clip's format, the bundled one among them."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.factory import load_checkpoint
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image as PILImage

from overread.imaging.errors import ConfigError
from overread.index.embedder import Vectors, identity, no_vectors, safetensors_in, unit
from overread.index.patches import of_open_clip

_PREFERRED = ("open_clip_model", "open_clip_pytorch_model", "model")


class OpenClipEmbedder:
    """A CLIP-type model from a folder with `open_clip_config.json` and one safetensors file.

    Attributes:
        name: Identity. dim: Length of a vector.
        transform: From a picture to the pixels the model wants.

    Raises:
        ConfigError: The configuration and the weights do not make a model.
    """

    def __init__(self, folder: Path) -> None:
        """Build the towers, then load every weight or none (strict)."""
        self._folder = folder
        files = safetensors_in(folder)
        weights = next((f for name in _PREFERRED for f in files if f.stem == name), files[0])
        try:
            config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
            with _without_random_weights_warning():
                model = open_clip.create_model(
                    f"local-dir:{folder}",
                    load_weights=False,
                    pretrained_text=False,
                    **_own_text_tower(config, folder),
                )
            load_checkpoint(model, str(weights), strict=True)
            tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            first_line = str(error).splitlines()[0][:200]
            raise ConfigError(f"The embedder in {folder} cannot be loaded: {first_line}") from error
        self.name = identity("open_clip", folder)
        self.dim = int(config["model_cfg"]["embed_dim"])
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        # Convolutions on a CPU are about twice as fast with the channels last.
        self._model = model.eval().to(self._device, memory_format=torch.channels_last)
        self._tokenizer = tokenizer
        self.transform = image_transform_v2(
            PreprocessCfg(**model.visual.preprocess_cfg), is_train=False
        )

    def __reduce__(self) -> tuple[type["OpenClipEmbedder"], tuple[Path]]:
        """Go to another process as the folder, and be loaded there."""
        return OpenClipEmbedder, (self._folder,)

    def embed_images(self, images: list[PILImage.Image]) -> Vectors:
        """Return one unit vector per image, shape (n, dim)."""
        if not images:
            return no_vectors(self.dim)
        pixels = torch.stack([self.transform(image.convert("RGB")) for image in images])
        with torch.inference_mode():
            return unit(self._model.encode_image(pixels.to(self._device)).float().cpu().numpy())

    def embed_texts(self, texts: list[str]) -> Vectors:
        """Return one unit vector per text, shape (n, dim)."""
        if not texts:
            return no_vectors(self.dim)
        with torch.inference_mode():
            tokens = self._tokenizer(texts).to(self._device)
            return unit(self._model.encode_text(tokens).float().cpu().numpy())

    def embed_patches(self, image: PILImage.Image) -> Vectors:
        """Return vectors of the patches of a square picture, float32 (rows, columns, dim).

        Raises:
            ConfigError: The tower is of a kind whose patches are not known.
        """
        pixels = self.transform(image.convert("RGB"))[None]
        with torch.inference_mode():
            return of_open_clip(self._model.visual, pixels.to(self._device)).float().cpu().numpy()


def _own_text_tower(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Let a text tower of transformers (BiomedCLIP's) take its shape from the folder's config.json.

    open_clip would look it up on the hub by name, although tokenizer and weights lie here.
    """
    text = config["model_cfg"].get("text_cfg", {})
    if "hf_model_name" not in text or not (folder / "config.json").is_file():
        return {}
    return {"text_cfg": text | {"hf_model_name": str(folder), "hf_model_pretrained": False}}


@contextmanager
def _without_random_weights_warning() -> Iterator[None]:
    """Silence open_clip's warning that the model is random: the weights come a line later."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
