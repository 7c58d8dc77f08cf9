"""Attention by the paper's equations, on numbers worked by hand and on a network that learnt to look."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from overread.imaging.errors import InputError
from overread.tools.attention import relevance
from overread.tools.classifier import load_classifier

LABELS = {0: "Nothing", 1: "Spot"}
NAMED = {"id2label": LABELS, "label2id": {name: number for number, name in LABELS.items()}}


def save(model: torch.nn.Module, folder: Path, side: int) -> Path:
    model.save_pretrained(folder)  # type: ignore[operator]
    ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    return folder


def test_one_layer_by_hand() -> None:
    """Five tokens, a class token and 2 x 2 patches: the logit weighs its attention to them."""
    weights = torch.tensor([0.0, 1.0, -1.0, 2.0, 4.0])
    attention = torch.full((1, 2, 5, 5), 0.2, requires_grad=True)
    # The second head is not asked, so what the first hands on is halved by the mean.
    logit = (attention[0, 0, 0] * weights).sum()
    told = relevance(logit, [attention])
    assert told.tolist() == [[pytest.approx(0.1), 0.0], [pytest.approx(0.2), pytest.approx(0.4)]]


def test_two_layers_hand_on_what_the_first_has_mixed() -> None:
    """R = (I + B)(I + A) for the two layers' weighted attention A, then B."""
    generator = torch.Generator().manual_seed(3)
    first, second = (torch.rand(1, 1, 5, 5, generator=generator) for _ in range(2))
    first.requires_grad_()
    second.requires_grad_()
    logit = (first * 2).sum() + (second * 3).sum()
    a, b = (2 * first)[0, 0].detach(), (3 * second)[0, 0].detach()
    expected = torch.eye(5) + a + b + b @ a
    told = relevance(logit, [first, second])
    assert told == pytest.approx(expected[0, 1:].reshape(2, 2).numpy(), rel=1e-5)


def test_without_a_class_token_all_patches_are_asked() -> None:
    attention = torch.eye(4)[None, None].requires_grad_()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    told = relevance((attention[0, 0].diagonal() * weights).sum(), [attention])
    assert told.ravel() == pytest.approx((1 + weights.numpy()) / 4)


def test_it_lies_on_what_a_network_learnt_to_look_for(tmp_path: Path) -> None:
    """A spot in one of 16 patches: after learning to tell whether it is there, it is hottest."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)

    def shown(spot: int | None) -> np.ndarray:
        pixels = rng.integers(60, 120, (32, 32)).astype(np.uint8)
        if spot is not None:
            row, column = 8 * (spot // 4), 8 * (spot % 4)
            pixels[row + 1 : row + 7, column + 1 : column + 7] = 240
        return np.stack([pixels] * 3, axis=-1)

    config = ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, hidden_dropout_prob=0.0, **NAMED,
    )  # fmt: skip
    model = ViTForImageClassification(config)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(400):
        spots = [int(rng.integers(16)) if rng.random() < 0.5 else None for _ in range(16)]
        pixels = torch.from_numpy(np.stack([shown(spot) for spot in spots])).permute(0, 3, 1, 2)
        truth = torch.tensor([int(spot is not None) for spot in spots])
        logits = model(pixel_values=pixels / 127.5 - 1).logits
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, truth).backward()
        optimiser.step()
    classifier = load_classifier(save(model, tmp_path / "spots", 32))
    inside = 0
    for spot in range(16):
        picture = PIL.Image.fromarray(shown(spot)).resize((512, 512), PIL.Image.Resampling.NEAREST)
        heat = classifier.attention(picture, 1)
        assert heat.shape == (512, 512) and heat.min() >= 0
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        inside += (row // 128, column // 128) == (spot // 4, spot % 4)
    assert inside == 16  # by chance 1


@pytest.mark.parametrize("kind", ["windows", "convolutions"])
def test_other_networks_are_refused_in_a_sentence(tmp_path: Path, kind: str) -> None:
    model = (
        SwinForImageClassification(
            SwinConfig(
                image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 2],
                window_size=4, **NAMED,
            )
        )
        if kind == "windows"
        else ResNetForImageClassification(
            ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], **NAMED)
        )
    )  # fmt: skip
    classifier = load_classifier(save(model, tmp_path / kind, 32))
    picture = PIL.Image.new("RGB", (64, 64), "grey")
    assert classifier.probabilities(picture).shape == (2,)
    with pytest.raises(InputError, match="attention"):
        classifier.attention(picture, 1)
