"""What a domain is told by: header first, then head or phrases; and the head's arithmetic."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage
from safetensors.numpy import save_file

from overread.imaging.errors import ConfigError
from overread.imaging.vocabulary import DOMAINS
from overread.index.domain_head import BUNDLED_HEAD, UNKNOWN, DomainHead, bundled_head, load_head
from overread.index.domains import Verdict, by_header_or_picture, by_picture, identify
from overread.index.embedder import Embedder, load_embedder
from tests.index.conftest import picture

SEEN = Verdict("chest-xray", "head")


def never() -> Verdict:
    raise AssertionError("the header tells enough")


@pytest.mark.parametrize(
    ("modality", "body_part", "domain", "by"),
    [
        ("CT", "chest", "chest-ct", "header"),
        ("US", None, "ultrasound", "header"),
        ("CR", "tibia", UNKNOWN, "header"),
        ("MR", "shoulder", UNKNOWN, "header"),
    ],
)
def test_a_header_that_tells_enough_is_believed(
    modality: str, body_part: str | None, domain: str, by: str
) -> None:
    verdict = by_header_or_picture(modality, body_part, never)
    assert (verdict.domain, verdict.by) == (domain, by)


def test_the_picture_tells_what_the_header_does_not_and_never_contradicts_it() -> None:
    assert by_header_or_picture("OT", None, lambda: SEEN) == SEEN
    assert by_header_or_picture("OT", "chest", lambda: SEEN) == SEEN
    assert by_header_or_picture("DX", None, lambda: SEEN) == SEEN
    assert by_header_or_picture("MR", None, lambda: SEEN) == Verdict(UNKNOWN, "header")


def test_another_embedder_is_asked_with_phrases(tiny: Embedder) -> None:
    verdict = identify(picture(1), tiny)
    assert verdict.by == "phrases" and verdict.probabilities == {}
    assert verdict.domain in (*DOMAINS, UNKNOWN)


def test_bundled_head_belongs_to_the_bundled_embedder_and_is_described() -> None:
    head = bundled_head()
    assert head.names == (*DOMAINS, UNKNOWN)
    assert head.embedder == load_embedder("bundled").name
    card = (BUNDLED_HEAD / "README.md").read_text(encoding="utf-8")
    assert head.embedder in card and "Not fit for clinical use" in card


def small(sure: float = 0.6, reach: float = 0.5) -> DomainHead:
    """Two domains along two axes of three, and 'unknown'."""
    axes = np.eye(3, dtype=np.float32)
    return DomainHead(
        embedder="none",
        names=("a", "b", UNKNOWN),
        weight=4 * axes,
        bias=np.zeros(3, np.float32),
        prototypes=axes[:2],
        owners=np.array([0, 1]),
        reach=np.array([reach, reach, -1.0], np.float32),
        sure=sure,
    )


def test_head_names_what_is_probable_and_near() -> None:
    near, between, beside = np.eye(3), np.array([[0.7, 0.7, 0.1]]), np.array([[0.4, 0.1, -0.9]])
    vectors = np.concatenate([near, between, beside]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    head = small()
    probabilities = head.probabilities(vectors)
    assert probabilities[0, 0] == pytest.approx(np.exp(4) / (np.exp(4) + 2))
    assert head.decide(vectors, probabilities) == ["a", "b", UNKNOWN, UNKNOWN, UNKNOWN]
    assert small(reach=0.3).decide(vectors, probabilities)[4] == "a"
    assert head.decide(vectors, probabilities, sure=0.4)[3] in ("a", "b")


@given(st.integers(0, 10**6))
def test_probabilities_add_up_and_a_name_is_the_likeliest(seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(8, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    head = small()
    probabilities = head.probabilities(vectors)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    for row, name in zip(probabilities, head.decide(vectors, probabilities), strict=True):
        assert name in (UNKNOWN, head.names[int(row.argmax())])


def test_a_damaged_head_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="domain head"):
        load_head(tmp_path)
    facts = {"embedder": "x", "names": ["a", UNKNOWN], "sure": 0.5}
    (tmp_path / "head.json").write_text(json.dumps(facts))
    save_file({"weight": np.zeros((2, 3), np.float32)}, tmp_path / "head.safetensors")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_head(tmp_path)


def test_pictures_of_any_mode_are_looked_at(tiny: Embedder) -> None:
    grey = PILImage.new("L", (40, 30), 120)
    assert by_picture(tiny.embed_images([grey])[0], tiny).by == "phrases"
