"""Fewer samples for the same accuracy: near-duplicates leave, rare samples are kept first.

Pictures are compared by perceptual hash and by the bundled embedder. The selection follows
CheXficient (arXiv:2602.22843): prototypes evolve on the embeddings while the samples stream by, and
what lies far from them is preferred.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from pydantic import BaseModel, Field

from overread.index.duplicates import near_duplicates, perceptual_hash
from overread.index.embedder import Vectors, load_embedder
from overread.training.examples import Example, FileRef, PhantomRef, open_image

_BATCH = 32
_MOMENTUM = 0.9  # of a prototype, when a sample joins it

Embed = Callable[[Sequence[PhantomRef | FileRef]], Vectors]


class Curation(BaseModel, frozen=True, extra="forbid"):
    """How a mix is thinned.

    Attributes:
        duplicates: Whether near-duplicates leave: the same words about nearly the same picture.
        hash_bits: Perceptual hashes that differ in at most so many of 64 bits are near.
        similarity: And their embeddings' cosine is at least this.
        keep: Share of the pictures that is kept, the under-represented first; 1 for all.
        prototypes: How many stand for what was seen.
        seed: Of the order in which samples stream by.
    """

    duplicates: bool = True
    hash_bits: int = Field(default=4, ge=0, le=64)
    similarity: float = Field(default=0.98, ge=-1, le=1)
    keep: float = Field(default=1.0, gt=0, le=1)
    prototypes: int = Field(default=64, ge=1)
    seed: int = 0


def curate(
    examples: Sequence[Example], curation: Curation | None, embed: Embed | None = None
) -> tuple[list[Example], dict[str, int]]:
    """Return the examples that stay, in their order, and how many left for which reason.

    Examples without an image stay. An example is judged by its first image.

    Args:
        examples: Of the training part.
        curation: None for no thinning.
        embed: From images to unit vectors; the bundled embedder's by default.
    """
    if curation is None:
        return list(examples), {}
    refs = list(dict.fromkeys(example.images[0] for example in examples if example.images))
    if not refs:
        return list(examples), {}
    vectors = (embed or _bundled)(refs)
    kept = list(examples)
    left: dict[str, int] = {}
    if curation.duplicates:
        hashes = np.array([perceptual_hash(open_image(ref)) for ref in refs], np.uint64)
        near = near_duplicates(hashes, vectors, curation.hash_bits, curation.similarity)
        kept = _distinct(kept, {ref: refs[first] for ref, first in zip(refs, near, strict=True)})
        left["near-duplicates"] = len(examples) - len(kept)
    if curation.keep < 1:
        there = {example.images[0] for example in kept if example.images}
        places = [place for place, ref in enumerate(refs) if ref in there]
        number = max(1, round(curation.keep * len(places)))
        chosen = informative(vectors[places], number, curation.prototypes, curation.seed)
        wanted = {refs[places[place]] for place in chosen}
        before = len(kept)
        kept = [example for example in kept if not example.images or example.images[0] in wanted]
        left["over-represented"] = before - len(kept)
    return kept, left


def informative(vectors: Vectors, number: int, prototypes: int, seed: int) -> list[int]:
    """Return the places of the samples that tell most, in ascending order.

    Samples stream by in batches. Each is scored by its distance to the nearest prototype as that
    was when it came, then moves it; so what is common becomes near and what is rare stays far. The
    budget is spread evenly over the prototypes, those with few samples being kept whole, and
    within one the farthest samples come first.

    Args:
        vectors: (n, dim), unit.
        number: How many to choose.
        prototypes: How many at most.
        seed: Of the order of the stream.

    Source: CheXficient, arXiv:2602.22843 (online curator with evolving prototypes).
    """
    order = np.random.default_rng(seed).permutation(len(vectors))
    centres = _spread(vectors[order], min(prototypes, len(vectors)))
    owner, score = np.zeros(len(vectors), np.int64), np.zeros(len(vectors))
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        near = vectors[batch] @ centres.T
        owner[batch], score[batch] = near.argmax(1), 1 - near.max(1)
        for place in batch:
            moved = _MOMENTUM * centres[owner[place]] + (1 - _MOMENTUM) * vectors[place]
            centres[owner[place]] = moved / max(float(np.linalg.norm(moved)), 1e-12)
    groups = [np.flatnonzero(owner == centre) for centre in range(len(centres))]
    ranked = [group[np.argsort(-score[group], kind="stable")] for group in groups if group.size]
    chosen: list[int] = []
    depth = 0
    while len(chosen) < min(number, len(vectors)):
        level = [int(group[depth]) for group in ranked if depth < len(group)]
        level.sort(key=lambda place: -score[place])
        chosen += level[: number - len(chosen)]
        depth += 1
    return sorted(chosen)


def _spread(vectors: Vectors, number: int) -> Vectors:
    """Return first prototypes: each the sample farthest from those before it."""
    chosen = [0]
    nearest = vectors @ vectors[0]
    while len(chosen) < number:
        far = int(nearest.argmin())
        chosen.append(far)
        nearest = np.maximum(nearest, vectors @ vectors[far])
    return vectors[chosen].copy()


def _distinct(
    examples: Sequence[Example], first: dict[PhantomRef | FileRef, PhantomRef | FileRef]
) -> list[Example]:
    """Return examples of which no earlier one says the same about nearly the same picture.

    The same example twice in a list is what weights ask for, not a duplicate.
    """
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    kept = []
    for example in examples:
        if not example.images:
            kept.append(example)
            continue
        others = [ref.model_dump(mode="json") for ref in example.images[1:]]
        words = json.dumps([example.messages, others, first[example.images[0]].model_dump_json()])
        name = (example.dataset, example.id)
        if not seen[words] or name in seen[words]:
            kept.append(example)
        seen[words].add(name)
    return kept


def _bundled(refs: Sequence[PhantomRef | FileRef]) -> Vectors:
    embedder = load_embedder("bundled")
    parts = [
        embedder.embed_images([open_image(ref) for ref in refs[start : start + _BATCH]])
        for start in range(0, len(refs), _BATCH)
    ]
    return np.concatenate(parts)
