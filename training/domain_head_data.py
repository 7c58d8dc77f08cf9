"""Pictures to teach domains with: phantoms, real images of installed packages, and what is neither."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PILImage
from rich.progress import track
from scipy.ndimage import gaussian_filter

from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import sample
from overread.imaging.phantoms.truth import Split
from overread.index.domain_head import UNKNOWN
from overread.index.domains import domain_of
from overread.index.embedder import Embedder, Vectors, embed_all
from overread.index.records import VIEW_SIZE, picture
from overread.training.embedder_data import augment
from overread.training.packaged_images import packaged_images

REAL_VIEWS, PHOTO_VIEWS = 8, 12

# Photographs, drawings and logos inside packages that the project installs anyway. What scikit-image
# holds is left for measuring.
_PICTURES = (
    ("gradio", "media_assets/images"),
    ("gradio", "test_data"),
    ("sklearn", "datasets/images"),
    ("matplotlib", "mpl-data/sample_data"),
)
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_EVERY = 3
"""Each third file, and each third texture, is for validation."""


@dataclass(frozen=True, slots=True)
class Taught:
    """Vectors with their domains.

    Attributes:
        vectors: Unit length, shape (n, dim).
        domains: n names.
    """

    vectors: Vectors
    domains: tuple[str, ...]

    def __add__(self, other: "Taught") -> "Taught":
        """Join both."""
        return Taught(np.concatenate([self.vectors, other.vectors]), self.domains + other.domains)


def phantoms(embedder: Embedder, split: Split, number: int, seed: int, views: int = 1) -> Taught:
    """Return phantoms of a split; the first view is unaltered, the others are augmented."""
    rng = np.random.default_rng(seed)

    def drawn() -> Iterator[tuple[PILImage.Image, str]]:
        for phantom in track(sample(split, number, seed), f"{split} phantoms", total=number):
            view = picture(phantom_image(phantom))
            yield view, phantom.domain
            for _ in range(views - 1):
                yield augment(view, rng), phantom.domain

    return embedded(embedder, drawn())


def packaged(embedder: Embedder, seed: int) -> Taught:
    """Return augmented views of the real medical images that installed packages hold."""
    rng = np.random.default_rng(seed)

    def drawn() -> Iterator[tuple[PILImage.Image, str]]:
        for found in packaged_images():
            domain = domain_of(found.modality, found.body_part)
            view = picture(found.image)
            yield view, domain
            for _ in range(REAL_VIEWS - 1):
                yield augment(view, rng), domain

    return embedded(embedder, drawn())


def others(embedder: Embedder, held_out: bool, textures: int, seed: int) -> Taught:
    """Return what is no medical image: crops of packaged pictures, and textures.

    Args:
        embedder: To embed with.
        held_out: The files and textures for validation rather than those for training.
        textures: Number of both kinds of textures together.
        seed: Which crops and textures.
    """
    rng = np.random.default_rng(seed)

    def drawn() -> Iterator[tuple[PILImage.Image, str]]:
        for number, path in enumerate(_files()):
            if (number % _EVERY == 0) == held_out:
                with PILImage.open(path) as file:
                    whole = file.convert("RGB")
                yield whole, UNKNOWN
                for _ in range(PHOTO_VIEWS - 1):
                    yield crop(whole, rng), UNKNOWN
        for number in range(textures):
            made = texture(np.random.default_rng([seed, number]))
            if (number % _EVERY == 0) == held_out:
                yield made, UNKNOWN

    return embedded(embedder, drawn())


def embedded(embedder: Embedder, drawn: Iterator[tuple[PILImage.Image, str]]) -> Taught:
    """Embed pictures whose domains are known."""
    domains: list[str] = []

    def views() -> Iterator[PILImage.Image]:
        for view, domain in drawn:
            domains.append(domain)
            yield view

    return Taught(embed_all(embedder, views()), tuple(domains))


def _files() -> list[Path]:
    found: list[Path] = []
    for package, folder in _PICTURES:
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            inside = Path(spec.origin).parent / folder
            found += sorted(file for file in inside.glob("*") if file.suffix in _SUFFIXES)
    return found


def crop(whole: PILImage.Image, rng: np.random.Generator) -> PILImage.Image:
    """Cut out a square part, sometimes without its colours."""
    side = int(min(whole.size) * rng.uniform(0.35, 1.0))
    left, top = (int(rng.integers(0, length - side + 1)) for length in whole.size)
    part = whole.crop((left, top, left + side, top + side))
    return part.convert("L").convert("RGB") if rng.random() < 0.4 else part


def texture(rng: np.random.Generator) -> PILImage.Image:
    """Draw noise, blurred noise, stripes, ramps, flat fields or boxes, grey or coloured."""
    side = VIEW_SIZE // 2
    y, x = np.mgrid[0:side, 0:side] / side
    kind = rng.integers(6)
    channels = 3 if rng.random() < 0.5 else 1
    if kind == 0:
        field = rng.random((side, side, channels))
    elif kind == 1:
        field = gaussian_filter(rng.random((side, side, channels)), (*[rng.uniform(1, 24)] * 2, 0))
        field = (field - field.min()) / (np.ptp(field) + 1e-9)
    elif kind == 2:
        angle, waves = rng.uniform(0, np.pi), rng.uniform(2, 60)
        line = np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)))
        field = (0.5 + 0.5 * line)[..., None] * rng.random(channels)
    elif kind == 3:
        angle = rng.uniform(0, 2 * np.pi)
        field = (x * np.cos(angle) + y * np.sin(angle))[..., None] * rng.random(channels)
        field = field - field.min()
    elif kind == 4:
        field = np.ones((side, side, channels)) * rng.random(channels)
    else:
        field = np.ones((side, side, channels)) * rng.random(channels)
        for _ in range(rng.integers(1, 12)):
            (top, bottom), (left, right) = np.sort(rng.integers(0, side, (2, 2)), axis=1)
            field[top:bottom, left:right] = rng.random(channels)
    values = np.clip(255 * field, 0, 255).astype(np.uint8)
    grey = np.repeat(values, 3 // channels, axis=2)
    return PILImage.fromarray(grey)
