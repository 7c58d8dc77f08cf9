"""The conformance test that every embedder passes, and what the loader refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from transformers import CLIPModel

from overread.imaging.errors import ConfigError
from overread.index.embedder import load_embedder

NOISE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
PICTURES = [
    PILImage.fromarray(NOISE),
    PILImage.new("L", (64, 40), 200),
    PILImage.new("RGB", (16, 90), (10, 200, 30)),
]
EMBEDDERS = [
    "open_clip_folder",
    "biomed_clip_folder",
    "clip_folder",
    "siglip_folder",
    "dual_encoder_folder",
]


@pytest.fixture(params=[*EMBEDDERS, "bundled"])
def spec(request: pytest.FixtureRequest) -> str:
    if request.param == "bundled":
        return "bundled"
    return str(request.getfixturevalue(request.param))


def test_every_embedder_keeps_the_contract(spec: str) -> None:
    embedder = load_embedder(spec)
    images = embedder.embed_images(PICTURES)
    texts = embedder.embed_texts(["red chest", "a brain", ""])
    for vectors in (images, texts):
        assert vectors.shape == (3, embedder.dim)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    alone = np.concatenate([embedder.embed_images([picture]) for picture in PICTURES])
    np.testing.assert_allclose(images, alone, atol=1e-4)
    np.testing.assert_allclose(texts[1], embedder.embed_texts(["a brain"])[0], atol=1e-4)
    assert np.abs(images[0] - images[1]).max() > 1e-3
    assert np.abs(texts[0] - texts[1]).max() > 1e-3
    assert embedder.embed_images([]).shape == (0, embedder.dim)
    assert embedder.embed_texts([]).shape == (0, embedder.dim)
    assert load_embedder(spec).name == embedder.name


def test_text_longer_than_the_context_is_cut_not_refused(spec: str) -> None:
    embedder = load_embedder(spec)
    assert embedder.embed_texts(["chest brain red " * 200]).shape == (1, embedder.dim)


def test_clip_vectors_are_those_of_the_model_itself(clip_folder: Path) -> None:
    embedder = load_embedder(str(clip_folder))
    model = CLIPModel.from_pretrained(clip_folder).eval()
    ids = torch.tensor([[2, 4, 3]])  # <s> chest </s>
    with torch.inference_mode():
        hidden = model.text_model(input_ids=ids).pooler_output
        expected = model.text_projection(hidden)[0].numpy()
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(embedder.embed_texts(["chest"])[0], expected, atol=1e-4)


def test_name_follows_the_weights_not_the_folder(open_clip_folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(open_clip_folder, tmp_path / "moved")
    assert load_embedder(str(moved)).name == load_embedder(str(open_clip_folder)).name
    config = json.loads((moved / "open_clip_config.json").read_text())
    config["preprocess_cfg"] = {"resize_mode": "squash"}
    (moved / "open_clip_config.json").write_text(json.dumps(config))
    assert load_embedder(str(moved)).name != load_embedder(str(open_clip_folder)).name


@pytest.mark.parametrize("name", ["/no/such/folder", "./missing", "no-such-model"])
def test_missing_model_is_a_clear_error(name: str) -> None:
    with pytest.raises(ConfigError, match="There is no embedder"):
        load_embedder(name)


def test_hub_name_offline_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="local model cache"):
        load_embedder("nobody/no-such-model")


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither open_clip_config\.json nor config\.json"):
        load_embedder(str(tmp_path))


@pytest.mark.parametrize("fixture", EMBEDDERS)
def test_pickled_weights_are_never_loaded(
    fixture: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = shutil.copytree(request.getfixturevalue(fixture), tmp_path / "pickled")
    for file in folder.glob("*.safetensors"):
        torch.save({"weight": torch.zeros(1)}, folder / "pytorch_model.bin")
        file.unlink()
    with pytest.raises(ConfigError, match=r"no \.safetensors"):
        load_embedder(str(folder))


def test_weights_of_another_model_are_refused(
    open_clip_folder: Path, clip_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(open_clip_folder, tmp_path / "mixed")
    (folder / "open_clip_model.safetensors").unlink()
    shutil.copy(clip_folder / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_embedder(str(folder))


def test_model_that_is_not_a_dual_encoder_is_refused(clip_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(clip_folder, tmp_path / "vision-only")
    model = CLIPModel.from_pretrained(clip_folder)
    model.vision_model.save_pretrained(folder)
    with pytest.raises(ConfigError, match=r"CLIP or SigLIP|cannot be loaded"):
        load_embedder(str(folder))
