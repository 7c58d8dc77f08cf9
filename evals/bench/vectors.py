"""Synthetic embeddings: domains, kinds of picture within them, and what differs within a kind."""

from dataclasses import dataclass

import numpy as np

from overread.index.embedder import Vectors, unit

DOMAINS, KINDS, RANK = 12, 1000, 24
"""Domains, kinds of picture in all of them, and directions in which those of a kind differ."""

_KIND, _WITHIN, _NOISE = 0.6, 0.5, 0.2
"""Length of each part, beside that of a domain's own direction, which is one.

Harder to search than the bundled embedder's vectors, which lie closer together: see
docs/retrieval.md.
"""
_BLOCK = 50_000


@dataclass(frozen=True, slots=True)
class Mixture:
    """Where vectors are drawn from.

    Attributes:
        centres: (kinds, dim).
        axes: (kinds, rank, dim), along which those of a kind differ.
        shares: (kinds,), sum 1; the commonest kind is some hundred times the rarest.
    """

    centres: Vectors
    axes: Vectors
    shares: np.ndarray


def mixture(dim: int, seed: int) -> Mixture:
    """Make up a mixture."""
    rng = np.random.default_rng(seed)

    def directions(*shape: int) -> Vectors:
        return unit(rng.standard_normal((*shape, dim), dtype=np.float32).reshape(-1, dim))

    domains, shares = directions(DOMAINS), 1 / np.arange(10, 10 + KINDS)
    return Mixture(
        centres=domains[rng.integers(DOMAINS, size=KINDS)] + _KIND * directions(KINDS),
        axes=directions(KINDS, RANK).reshape(KINDS, RANK, dim),
        shares=shares / shares.sum(),
    )


def draw(source: Mixture, number: int, seed: int) -> Vectors:
    """Draw unit vectors, (number, dim); another seed gives others of the same kinds."""
    rng, dim = np.random.default_rng(seed), source.centres.shape[1]
    found = np.empty((number, dim), np.float32)
    for start in range(0, number, _BLOCK):
        block = found[start : start + _BLOCK]
        kinds = rng.choice(len(source.shares), len(block), p=source.shares)
        weights = rng.standard_normal((len(block), RANK), dtype=np.float32) * _WITHIN / RANK**0.5
        block[:] = rng.standard_normal(block.shape, dtype=np.float32) * _NOISE / dim**0.5
        block += source.centres[kinds]
        order = np.argsort(kinds, kind="stable")
        edges = np.searchsorted(kinds[order], np.arange(len(source.shares) + 1))
        for kind in np.unique(kinds):  # a product a kind; all axes of a block would take gigabytes
            rows = order[edges[kind] : edges[kind + 1]]
            block[rows] += weights[rows] @ source.axes[kind]
    return unit(found)
