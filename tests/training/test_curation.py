from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage
from PIL import ImageEnhance

from overread.training.curation import (
    Curation,
    curate,
    informative,
    near_duplicates,
    perceptual_hash,
)
from overread.training.examples import Example, FileRef, PhantomRef, open_image


def example(number: int, ref: Any, words: str = "What is it?") -> Example:
    shown = [{"type": "image"}, {"type": "text", "text": words}]
    return Example(
        id=f"x{number}", dataset="set", task="open", patient=f"p{number}", split="train",
        messages=[{"role": "user", "content": shown}, {"role": "assistant", "content": "A."}],
        images=[ref],
    )  # fmt: skip


def test_a_brighter_copy_has_nearly_the_same_hash_and_another_patient_has_not() -> None:
    one, other = (open_image(PhantomRef(domain="chest-xray", patient=n)) for n in (1, 2))
    brighter = ImageEnhance.Brightness(one.resize((200, 200))).enhance(1.1)

    def apart(a: PILImage.Image, b: PILImage.Image) -> int:
        return (perceptual_hash(a) ^ perceptual_hash(b)).bit_count()

    assert apart(one, brighter) <= 2 < apart(one, other)


def test_near_duplicates_name_the_first_of_their_kind() -> None:
    hashes = np.array([0b0000, 0b1111, 0b0001, 0b0011], np.uint64)
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    assert near_duplicates(hashes, vectors, bits=1, similarity=0.9) == [0, 1, 0, 3]
    assert near_duplicates(hashes, vectors, bits=2, similarity=-1) == [0, 1, 0, 0]


def test_the_same_words_about_nearly_the_same_picture_are_kept_once(tmp_path: Any) -> None:
    picture = open_image(PhantomRef(domain="fundus", patient=1))
    for name in ("a", "b"):
        picture.save(tmp_path / f"{name}.png")
    a, b = FileRef(path=tmp_path / "a.png"), FileRef(path=tmp_path / "b.png")
    first, copy = example(1, a), example(2, b)
    other_words, repeated = example(3, b, "Which side?"), first
    kept, left = curate(
        [first, copy, other_words, repeated],
        Curation(),
        embed=lambda refs: np.ones((len(refs), 1), np.float32),
    )
    assert [one.id for one in kept] == ["x1", "x3", "x1"]
    assert left == {"near-duplicates": 1}


def test_the_rare_is_kept_whole_and_the_common_thinned() -> None:
    rng = np.random.default_rng(0)
    common = np.array([1, 0, 0]) + 0.01 * rng.normal(size=(95, 3))
    rare = np.array([0, 1, 0]) + 0.01 * rng.normal(size=(5, 3))
    vectors = np.concatenate([common, rare]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = informative(vectors, 20, prototypes=2, seed=1)
    assert {95, 96, 97, 98, 99} <= set(chosen)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 9), st.integers(0, 5))
def test_as_many_as_wanted_are_chosen_each_once(n: int, number: int, k: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = informative(vectors, number, k, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(n, number)
    assert chosen == informative(vectors, number, k, seed)


def test_a_share_of_the_pictures_is_kept_with_all_their_questions() -> None:
    refs = [PhantomRef(domain="fundus", patient=n) for n in range(6)]
    lines = [example(n, ref, words) for n, ref in enumerate(refs) for words in ("A?", "B?")]
    embed = np.eye(6, dtype=np.float32)
    kept, left = curate(lines, Curation(duplicates=False, keep=0.5), lambda _: embed)
    assert len({one.images[0] for one in kept}) == 3
    assert len(kept) == 6
    assert left == {"over-represented": 6}
