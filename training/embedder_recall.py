"""Recall at 1, 5 and 10 in both directions and from image to image, beside ImageNet and chance."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from overread.evals.metrics.retrieval import RECALL_AT, chance_hit_rate_at, hit_rate_at
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.index.embedder import Vectors
from overread.index.manifest import ManifestRow, read_manifest
from overread.index.records import caption, picture

Embed = Callable[[list[PILImage.Image]], Vectors]

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Gallery:
    """Images that are looked for among each other.

    Attributes:
        views: n pictures.
        texts: What is written about each.
        kinds: What two images must share to be right for each other.
        patients: Whose they are; those of one patient are never each other's answer.
    """

    views: list[PILImage.Image]
    texts: list[str]
    kinds: list[str]
    patients: list[str]


def real_gallery(pack: Path) -> Gallery:
    """Read a pack's images, of a volume its middle; the written facts of each are its text.

    Raises:
        InputError: There is no manifest.
        UnreadableImage: An image cannot be read.
    """
    views, texts, patients = list[PILImage.Image](), list[str](), list[str]()
    with TemporaryDirectory() as secret:
        pseudonymiser = Pseudonymiser(Path(secret) / "secret")
        for row in read_manifest(pack / "manifest.jsonl"):
            if isinstance(row, ManifestRow):
                images = read_studies([row.path], pseudonymiser)[0].images
                views.append(picture(images[len(images) // 2]))
                texts.append(caption(row.modality, row.body_part, tuple(sorted(row.labels))))
                patients.append(row.patient_id or str(row.path))
    return Gallery(views, texts, texts, patients)


def recall_rows(
    embeds: Mapping[str, Embed],
    embed_texts: Callable[[list[str]], Vectors],
    gallery: Gallery,
    images: Mapping[str, Vectors] | None = None,
) -> list[str]:
    """Return Markdown rows: what is looked for, by which features, recall at 1, 5 and 10.

    Args:
        embeds: Ways to embed images by title; the first has the text tower, too.
        embed_texts: Of that one.
        gallery: Images and texts.
        images: Vectors of the gallery by title, where they are known already.
    """
    vectors = images or {title: in_batches(embed, gallery.views) for title, embed in embeds.items()}
    ours = next(iter(vectors))
    wordings = sorted(set(gallery.texts))
    texts = np.concatenate(
        [embed_texts(wordings[i : i + _BATCH]) for i in range(0, len(wordings), _BATCH)]
    )
    kind_of = dict(zip(gallery.texts, gallery.kinds, strict=True))
    right = same(gallery.kinds, [kind_of[text] for text in wordings])
    rows = [
        _row("image to report", ours, vectors[ours] @ texts.T, right),
        _row("image to report", "chance", None, right),
        _row("report to image", ours, texts @ vectors[ours].T, right.T),
        _row("report to image", "chance", None, right.T),
    ]
    others = ~same(gallery.patients, gallery.patients)
    alike = same(gallery.kinds, gallery.kinds) & others
    asked = alike.any(axis=1)  # an image that nothing is like has no right answer
    for title, found in vectors.items():
        similarity = np.where(others, found @ found.T, -np.inf)
        rows.append(_row("image to image", title, similarity[asked], alike[asked]))
    return [*rows, _row("image to image", "chance", None, alike[asked])]


def in_batches(embed: Embed, views: Sequence[PILImage.Image]) -> Vectors:
    """Embed many pictures, a few at a time."""
    starts = range(0, len(views), _BATCH)
    return np.concatenate([embed(list(views[start : start + _BATCH])) for start in starts])


def same(words: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Return which word equals which, shape (words, others)."""
    return np.array(words)[:, None] == np.array(others)[None, :]


def _row(
    what: str, features: str, similarity: NDArray[np.floating] | None, right: NDArray[np.bool_]
) -> str:
    """Return a row; of a drawing at random where there is no similarity."""
    figures = [
        chance_hit_rate_at(right, k) if similarity is None else hit_rate_at(similarity, right, k)
        for k in RECALL_AT
    ]
    cells = " | ".join(f"{found.mean():.2f}" for found in figures)
    return f"| {what} | {features} | {len(right)} | {cells} |"
