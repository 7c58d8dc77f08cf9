"""Gaussian noise as a diffusion model adds it: an image of which less and less can be seen.

Pairs of the kind 'look' (see `pair_kinds`) show the rejected side a noised image. MMed-RAG's released
loader puts pure noise in the image's place; its paper speaks of diffusion noise. The linear schedule of
DDPM holds both: from step 0, hardly touched, to step 999, where 0.6 % of the image's contrast is left.
The sigmoid schedule of visual contrastive decoding (arXiv:2311.16922), which MMed-RAG's unused helper
follows, would still leave 29 % at its last step, and a patch of 16 x 16 pixels averages the noise away.
"""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

STEPS = 1000
_FIRST_BETA, _LAST_BETA = 1e-4, 0.02


class Noise(BaseModel, frozen=True, extra="forbid"):
    """Which noise; equal values give equal pictures on any machine.

    Attributes:
        step: Of the forward process, 0..999.
        seed: Of the generator.
    """

    step: int = Field(default=STEPS - 1, ge=0, lt=STEPS)
    seed: int = 0

    def of(self, key: str) -> "Noise":
        """Return the same step with a seed of its own for a key, so that no two images share it."""
        digest = hashlib.blake2b(f"{self.seed}/{key}".encode(), digest_size=4).digest()
        return Noise(step=self.step, seed=int.from_bytes(digest, "big"))

    def facts(self) -> dict[str, Any]:
        """Return what a pair notes."""
        return self.model_dump()


def signal_share(step: int) -> float:
    """Return the factor sqrt(alpha-bar) that the image keeps at a step; the noise gets the rest.

    Source: Ho et al., Denoising diffusion probabilistic models, arXiv:2006.11239, equation 4 and
    section 4 (betas from 1e-4 to 0.02, linear, 1000 steps).

    >>> round(signal_share(0), 5), round(signal_share(999), 4)
    (0.99995, 0.0064)
    """
    return float(_shares()[step])


@lru_cache(maxsize=1)
def _shares() -> np.ndarray:
    return np.sqrt(np.cumprod(1.0 - np.linspace(_FIRST_BETA, _LAST_BETA, STEPS)))


def noised(picture: "Picture", noise: Noise) -> "Picture":
    """Return sqrt(a) x + sqrt(1 - a) e of a picture x in -1..1, cut off at the ends of the range.

    Args:
        picture: Mode RGB.
        noise: Step and seed; e is normal, independent in each pixel and colour.

    Returns:
        A picture of the same size, so that it takes as many tokens of any model.
    """
    import PIL.Image

    share = signal_share(noise.step)
    clean = np.asarray(picture.convert("RGB"), np.float64) / 127.5 - 1.0
    random = np.random.Generator(np.random.PCG64(noise.seed)).standard_normal(clean.shape)
    mixed = share * clean + np.sqrt(1.0 - share**2) * random
    return PIL.Image.fromarray(np.rint((np.clip(mixed, -1, 1) + 1) * 127.5).astype(np.uint8))
