"""The domain head's recipe on made-up vectors, and its pictures of what is not medical."""

from pathlib import Path

import numpy as np
import pytest
import torch

from overread.imaging.vocabulary import DOMAINS
from overread.index.domain_head import UNKNOWN, load_head
from overread.index.embedder import unit
from overread.training import domain_head
from overread.training.domain_head_card import figures
from overread.training.domain_head_data import Taught, crop, texture

DIM = 24


def made(seed: int, each: int, spread: float = 0.5) -> Taught:
    """Each class around an axis of its own; 'unknown' anywhere else."""
    rng = np.random.default_rng(seed)
    rows, domains = [], []
    for number, domain in enumerate(DOMAINS):
        rows.append(np.eye(DIM)[number] + rng.normal(0, spread / DIM**0.5, (each, DIM)))
        domains += [domain] * each
    strange = rng.normal(size=(3 * each, DIM))
    strange[:, : len(DOMAINS)] *= 0.3
    rows.append(strange)
    domains += [UNKNOWN] * (3 * each)
    return Taught(unit(np.concatenate(rows)), tuple(domains))


def test_recipe_teaches_calibrates_and_saves(tmp_path: Path) -> None:
    torch.manual_seed(0)
    domain_head.save(tmp_path, "made@1", made(1, 40), made(2, 30), seed=1)
    head = load_head(tmp_path)
    assert head.embedder == "made@1" and head.names[-1] == UNKNOWN
    others = made(3, 40)
    found = figures(head, others)
    assert found["right"] > 0.95
    assert found["wrong"] < 0.02
    assert found["ece"] < 0.05
    far = Taught(unit(-np.eye(DIM)), (UNKNOWN,) * DIM)
    assert figures(head, far)["unknown"] == 1.0
    assert (tmp_path / "head.safetensors").stat().st_size < 100_000


def test_temperature_tames_a_head_that_is_too_sure() -> None:
    seen = made(2, 40, spread=2.5)
    weight, bias = domain_head.fit(made(1, 10, spread=0.2))
    loud = domain_head.temperature(5 * weight, 5 * bias, seen)
    assert loud == pytest.approx(domain_head.temperature(weight, bias, seen) / 5, rel=0.1)


def test_textures_and_crops_are_pictures_that_their_seed_tells() -> None:
    for seed in range(12):
        one, again = (texture(np.random.default_rng(seed)) for _ in range(2))
        assert one.mode == "RGB" and one.tobytes() == again.tobytes()
        part = crop(one, np.random.default_rng(seed))
        assert part.mode == "RGB" and part.width == part.height <= one.width
    kinds = {texture(np.random.default_rng(seed)).tobytes() for seed in range(12)}
    assert len(kinds) == 12
