"""Tiny embedders of both formats, built and saved here, and coloured cases to index."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image as PILImage
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    ViTConfig,
    ViTImageProcessor,
)

from overread.index.embedder import Embedder, load_embedder

DIM = 16


@pytest.fixture(scope="session")
def open_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-open-clip")
    model_cfg = {
        "embed_dim": DIM,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 64,
            "head_width": 32,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg}))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<unk>", "<s>", "</s>", "chest", "brain", "red", "green", "blue"]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


_TOWER = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
_TEXT = _TOWER | {"vocab_size": 9, "max_position_embeddings": 16}
_TEXT |= {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
_BERT = _TOWER | {"vocab_size": 9, "max_position_embeddings": 16, "pad_token_id": 0}
_VISION = _TOWER | {"image_size": 32, "patch_size": 8}


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-clip")
    torch.manual_seed(1)
    config = CLIPConfig(
        text_config=_TEXT | {"projection_dim": DIM},
        vision_config=_VISION | {"projection_dim": DIM},
        projection_dim=DIM,
    )
    CLIPModel(config).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-siglip")
    torch.manual_seed(2)
    config = SiglipConfig(text_config=_TEXT | {"projection_size": 32}, vision_config=_VISION)
    SiglipModel(config).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def biomed_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As BiomedCLIP and UniMed-CLIP are saved: open_clip's, a vision tower of timm, a BERT."""
    folder = tmp_path_factory.mktemp("tiny-biomed-clip")
    torch.manual_seed(3)
    BertConfig(**_BERT).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    vision = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear"}
    text = {
        "hf_model_name": "nobody/no-such-bert",
        "hf_tokenizer_name": "nobody/no-such-bert",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 16,
    }
    model_cfg = {"embed_dim": DIM, "vision_cfg": vision | {"image_size": 160}, "text_cfg": text}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg}))
    own = {"text_cfg": text | {"hf_model_name": str(folder), "hf_model_pretrained": False}}
    model = open_clip.create_model(
        f"local-dir:{folder}", load_weights=False, pretrained_text=False, **own
    )
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def dual_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Any two towers of transformers with projections: the slot for models like MedImageInsight."""
    folder = tmp_path_factory.mktemp("tiny-dual-encoder")
    torch.manual_seed(4)
    vision = ViTConfig(**_VISION)
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, BertConfig(**_BERT))
    config.projection_dim = DIM
    VisionTextDualEncoderModel(config).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(open_clip_folder: Path) -> Embedder:
    """The cheapest real embedder, for tests of everything but embedding."""
    return load_embedder(str(open_clip_folder))


def picture(seed: int) -> PILImage.Image:
    """A 40 x 40 picture of noise that no other seed gives."""
    rng = np.random.default_rng(seed)
    return PILImage.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
