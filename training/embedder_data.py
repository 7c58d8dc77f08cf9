"""Phantoms as the embedder's training sees them: cached image features, wordings of the truth."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as PILImage
from rich.progress import track
from torch import Tensor, nn

from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import Phantom, labels_of, manifest_line, sample
from overread.imaging.phantoms.truth import Split
from overread.index.domains import domain_of
from overread.index.records import caption, picture
from overread.training.embedder_words import search_words
from overread.training.mixed_precision import mixed_precision
from overread.training.packaged_images import packaged_images

WORDING_WEIGHTS = (0.22, 0.14, 0.14, 0.1, 0.1, 0.1, 0.1, 0.1)
"""How often each of `wordings` is drawn in training."""

_BATCH, _SEARCHES = 32, 3
_MIN_CROP, _MAX_TILT_DEGREES = 0.88, 6.0
_BRIGHTNESS, _GAMMA = 0.12, 1.3

Transform = Callable[[PILImage.Image], Tensor]


@dataclass(frozen=True, slots=True)
class Case:
    """What is kept of a phantom once its image is embedded."""

    domain: str
    labels: tuple[str, ...]
    report: str
    wordings: tuple[str, ...]


def wordings(phantom: Phantom, rng: np.random.Generator) -> tuple[str, ...]:
    """Return what a reader or a searcher may write about a phantom, the whole report first."""
    report = phantom.report
    named = caption(phantom.modality, phantom.body_part, tuple(labels_of(phantom)))
    return (
        str(manifest_line(phantom)["report"]),
        f"{report.findings} {report.impression}",
        f"{report.technique} {report.impression}",
        report.impression,
        named,
        *(search_words(phantom, rng) for _ in range(_SEARCHES)),
    )


def embed_phantoms(
    trunk: nn.Module,
    transform: Transform,
    split: Split,
    number: int,
    seed: int,
    views: int,
) -> tuple[Tensor, list[Case]]:
    """Draw phantoms and run the frozen trunk over them once.

    Args:
        trunk: From pixels (n, 3, side, side) to features (n, channels).
        transform: From a picture to pixels (3, side, side).
        split: Only patients of this split.
        number: Of phantoms.
        seed: Which phantoms, and how they are altered.
        views: Per phantom; the first is unaltered, the others are augmented.

    Returns:
        float32 (number, views, channels), and the cases in the same order.
    """
    rng = np.random.default_rng(seed)
    cases: list[Case] = []

    def pixels() -> Iterator[Tensor]:
        phantoms = sample(split, number, seed)
        for phantom in track(phantoms, f"{split} phantoms", total=number):
            labels = tuple(labels_of(phantom))
            texts = wordings(phantom, rng)
            cases.append(Case(phantom.domain, labels, texts[0], texts))
            view = picture(phantom_image(phantom))
            yield transform(view)
            for _ in range(views - 1):
                yield transform(augment(view, rng))

    features = list(_in_batches(trunk, pixels()))
    return torch.cat(features).reshape(number, views, -1), cases


def embed_packaged(
    trunk: nn.Module, transform: Transform, seed: int, views: int
) -> tuple[Tensor, list[Case]]:
    """Run the frozen trunk over the real images that installed packages hold.

    Args:
        trunk: As `embed_phantoms`.
        transform: As there.
        seed: How they are altered.
        views: As there.

    Returns:
        As there. What is written about an image is its report where it has one, and its caption.
    """
    rng, pixels, cases = np.random.default_rng(seed), list[Tensor](), list[Case]()
    for found in packaged_images():
        labels = tuple(found.row.get("labels", ()))
        named = caption(found.modality, found.body_part, labels)
        texts = (str(found.row.get("report") or named), *[named] * (len(WORDING_WEIGHTS) - 1))
        domain = domain_of(found.modality, found.body_part)
        cases.append(Case(domain, labels, texts[0], texts))
        view = picture(found.image)
        pixels += [transform(view), *(transform(augment(view, rng)) for _ in range(views - 1))]
    features = list(_in_batches(trunk, iter(pixels)))
    return torch.cat(features).reshape(len(cases), views, -1), cases


def _in_batches(trunk: nn.Module, pixels: Iterator[Tensor]) -> Iterator[Tensor]:
    batch: list[Tensor] = []
    for one in pixels:
        batch.append(one)
        if len(batch) == _BATCH:
            yield run(trunk, batch)
            batch = []
    if batch:
        yield run(trunk, batch)


def run(trunk: nn.Module, batch: Sequence[Tensor]) -> Tensor:
    """Return float32 features (n, channels), computed in bfloat16 with the channels last."""
    stacked = torch.stack(list(batch)).to(memory_format=torch.channels_last)
    with torch.inference_mode(), mixed_precision():
        return trunk(stacked).float()


def augment(view: PILImage.Image, rng: np.random.Generator) -> PILImage.Image:
    """Tilt, crop and relight a little; never mirrored, since sides are part of the truth."""
    tilted = view.rotate(
        rng.uniform(-_MAX_TILT_DEGREES, _MAX_TILT_DEGREES), PILImage.Resampling.BILINEAR
    )
    side = int(min(view.size) * rng.uniform(_MIN_CROP, 1.0))
    left, top = (int(rng.integers(0, length - side + 1)) for length in view.size)
    crop = tilted.crop((left, top, left + side, top + side))
    gamma = math.exp(rng.uniform(-math.log(_GAMMA), math.log(_GAMMA)))
    gain = 1 + rng.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    curve = np.clip(255 * gain * (np.arange(256) / 255) ** gamma, 0, 255).round().astype(int)
    return crop.point([*curve.tolist()] * len(crop.getbands()))
