"""The embedder slot: images and texts into one space. Chooses a loader; knows no model."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from overread.imaging.errors import ConfigError
from overread.imaging.files import files_hash

Vectors = NDArray[np.float32]

BUNDLED = Path(__file__).parent / "weights" / "bundled"
_BATCH = 32
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


class Embedder(Protocol):
    """Turns images and texts into vectors that can be compared by cosine.

    Attributes:
        name: Identity, with a hash of the weights; an index remembers it.
        dim: Length of a vector.
    """

    name: str
    dim: int

    def embed_images(self, images: list[PILImage.Image]) -> Vectors:
        """Return one unit vector per image, shape (n, dim)."""
        ...

    def embed_texts(self, texts: list[str]) -> Vectors:
        """Return one unit vector per text, shape (n, dim)."""
        ...


def load_embedder(spec: str) -> Embedder:
    """Load an embedder: safetensors only, no remote code, no network for a local folder.

    Args:
        spec: "bundled"; a local folder in open_clip's format (`open_clip_config.json`) or in
            transformers' (`config.json`), each with safetensors; or a hub name ("org/model"),
            which is looked up in the local cache first.

    Raises:
        ConfigError: There is no such model, or it is not one we may load.
    """
    folder = BUNDLED if spec == "bundled" else _folder(spec)
    if (folder / "open_clip_config.json").is_file():
        from overread.index.open_clip_embedder import OpenClipEmbedder

        return OpenClipEmbedder(folder)
    if (folder / "config.json").is_file():
        from overread.index.transformers_embedder import TransformersEmbedder

        return TransformersEmbedder(folder)
    raise ConfigError(
        f"The embedder folder {folder} has neither open_clip_config.json nor config.json; "
        "give the folder of an open_clip or of a transformers CLIP/SigLIP model."
    )


def _folder(spec: str) -> Path:
    path = Path(spec).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or spec.startswith((".", "~")) or spec.count("/") != 1:
        raise ConfigError(
            f"There is no embedder '{spec}'; give 'bundled', a local model folder, or a hub name "
            "such as org/model."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(spec, allow_patterns=_HUB_FILES))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The embedder '{spec}' is neither a folder nor in the local model cache, and it could "
            f"not be downloaded ({type(error).__name__}); download it first or give a local folder."
        ) from error


def safetensors_in(folder: Path) -> list[Path]:
    """Return the weight files of a model folder.

    Raises:
        ConfigError: There is none; other formats can run code and are refused.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConfigError(
            f"The embedder folder {folder} has no .safetensors file; convert its weights first "
            "(pickled weights are never loaded)."
        )
    return files


def identity(kind: str, folder: Path) -> str:
    """Return `kind@hash` over configuration and weights; where the folder lies does not matter."""
    files = [*sorted(folder.glob("*config.json")), *safetensors_in(folder)]
    return f"{kind}@{files_hash(files)[:12]}"


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Scale each row to length one, as float32.

    Raises:
        ConfigError: A row is zero or not finite: the model is broken.
    """
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise ConfigError("The embedder returned a vector that is zero or not finite.")
    return rows / lengths


def embed_all(embedder: Embedder, pictures: Iterable[PILImage.Image]) -> Vectors:
    """Return the vectors of any number of pictures, (n, dim), holding only a few of them at a time."""
    waiting = iter(pictures)
    found = [no_vectors(embedder.dim)]
    while batch := list(islice(waiting, _BATCH)):
        found.append(embedder.embed_images(batch))
    return np.concatenate(found)


def no_vectors(dim: int) -> Vectors:
    """Return the embedding of nothing, shape (0, dim)."""
    return np.zeros((0, dim), dtype=np.float32)
