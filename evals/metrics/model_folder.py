"""Load metric models from local folders: never fetched, never unpickled."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.imaging.errors import ConfigError

if TYPE_CHECKING:
    import torch


def require(folder: Path, files: dict[str, str], metric: str) -> None:
    """Check that a folder holds what a metric needs.

    Args:
        folder: Of the model.
        files: What must be there: a glob pattern, and what it is for a reader.
        metric: Name, for the message.

    Raises:
        ConfigError: The folder is absent, or a file is.
    """
    if not folder.is_dir():
        raise ConfigError(f"{metric} needs a model folder; {folder} is none.")
    for pattern, what in files.items():
        if not any(folder.glob(pattern)):
            raise ConfigError(f"{metric}: {folder} holds no {what} ({pattern}); put it there.")


def load_encoder(folder: Path, metric: str) -> tuple[Any, Any]:
    """Return tokenizer and transformers encoder of a folder, ready for inference.

    Raises:
        ConfigError: Files are missing or do not fit together.
    """
    from transformers import AutoModel, AutoTokenizer

    needed = {"config.json": "configuration", "*.safetensors": "weights in safetensors"}
    require(folder, needed, metric)
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        model = AutoModel.from_pretrained(folder, use_safetensors=True, **local)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ConfigError(f"{metric}: the model in {folder} cannot be loaded: {reason}") from error
    return tokenizer, model.eval()


def load_state(file: Path, metric: str) -> dict[str, "torch.Tensor"]:
    """Return tensors of a checkpoint: safetensors, or PyTorch's format read as weights alone.

    Raises:
        ConfigError: It is neither, or holds anything but plain tensors and numbers.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError) as error:
        raise ConfigError(f"{metric}: {file} is no checkpoint of plain weights.") from error
    for key in ("model_state_dict", "state_dict"):
        loaded = loaded.get(key, loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(loaded, dict):
        raise ConfigError(f"{metric}: {file} holds no table of weights.")
    return loaded
