"""The trained head that tells a picture's domain from its vector. Knows one embedder by name."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from overread.imaging.errors import ConfigError
from overread.index.embedder import Vectors

UNKNOWN = "unknown"
BUNDLED_HEAD = Path(__file__).parent / "weights" / "domain-head"

Reals = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class DomainHead:
    """Multinomial logistic regression over domains and "unknown", with two ways to abstain.

    Attributes:
        embedder: Identity of the embedder whose vectors it reads.
        names: Of its n classes; the last is "unknown".
        weight: Shape (n, dim), the calibrating temperature already inside. bias: Shape (n,).
        prototypes: Unit vectors of known pictures, shape (m, dim). owners: Class of each, (m,).
        reach: Smallest cosine to the nearest of a class's prototypes at which it is believed, (n,).
        sure: Smallest probability at which a domain is named.
    """

    embedder: str
    names: tuple[str, ...]
    weight: Reals
    bias: Reals
    prototypes: Reals
    owners: NDArray[np.int64]
    reach: Reals
    sure: float

    def probabilities(self, vectors: Vectors) -> Reals:
        """Return the calibrated probability of each class, shape (pictures, n).

        Args:
            vectors: Unit length, shape (pictures, dim).
        """
        logits = vectors @ self.weight.T + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def decide(
        self, vectors: Vectors, probabilities: Reals, sure: float | None = None
    ) -> list[str]:
        """Return the domain of each picture: "unknown" when it is improbable or out of reach.

        Args:
            vectors: Unit length, shape (pictures, dim).
            probabilities: Of the same pictures.
            sure: Instead of the head's own; for fitting it.
        """
        best = probabilities.argmax(axis=1)
        likeness = vectors @ self.prototypes.T
        own = np.where(self.owners[None, :] == best[:, None], likeness, -1.0).max(axis=1)
        believed = (probabilities.max(axis=1) >= (self.sure if sure is None else sure)) & (
            own >= self.reach[best]
        )
        return [
            self.names[at] if named else UNKNOWN
            for at, named in zip(best.tolist(), believed.tolist(), strict=True)
        ]


def load_head(folder: Path) -> DomainHead:
    """Load a head from its folder: `head.json` and `head.safetensors`.

    Raises:
        ConfigError: A file is missing or damaged.
    """
    try:
        facts = json.loads((folder / "head.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "head.safetensors")
        return DomainHead(
            embedder=str(facts["embedder"]),
            names=tuple(facts["names"]),
            weight=arrays["weight"].astype(np.float32),
            bias=arrays["bias"].astype(np.float32),
            prototypes=arrays["prototypes"].astype(np.float32),
            owners=arrays["owners"].astype(np.int64),
            reach=arrays["reach"].astype(np.float32),
            sure=float(facts["sure"]),
        )
    except Exception as error:
        raise ConfigError(f"The domain head in {folder} cannot be loaded: {error}") from error


@lru_cache(maxsize=1)
def bundled_head() -> DomainHead:
    """Return the head of the bundled embedder, loaded once a process.

    Raises:
        ConfigError: Its files are missing.
    """
    return load_head(BUNDLED_HEAD)
