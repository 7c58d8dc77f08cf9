"""A session over phantoms: real archive, artifact store and index; true masks as segmenter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage

from overread.imaging.archive import Archive
from overread.imaging.phantom_image import phantom_image as image_of
from overread.imaging.phantoms import Phantom
from overread.imaging.study import Image, Mask, Series, Study
from overread.imaging.vocabulary import TARGETS
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Evidence, ToolContext
from overread.tools.segmenter import Box, Point, Segmentation


def study_of(phantom: Phantom, image: Image | None = None) -> Study:
    image = image or image_of(phantom)
    return Study(phantom.study_id, phantom.patient_id, (Series("s0", phantom.modality, (image,)),))


@dataclass
class TruthSegmenter:
    """Gives a phantom's own masks, so that what tools compute from them can be exact."""

    masks: dict[str, dict[str, Mask]]
    version: str = "truth 1"
    targets: tuple[str, ...] = TARGETS
    any_words: bool = False

    def segment(
        self,
        image: Image,
        target: str | None = None,
        points: Sequence[Point] = (),
        box: Box | None = None,
        scribble: Mask | None = None,
        previous: Mask | None = None,
    ) -> Segmentation:
        empty = np.zeros(image.shape, bool)
        mask = self.masks[image.ref.study_id].get(target or "", empty)
        return Segmentation(mask, mask.astype(np.float32), bool(mask.any()), 0.9)


class ThumbnailEmbedder:
    """A picture is its 8 x 8 grey thumbnail, a text its letters: cheap, and real enough."""

    name = "thumbnail"
    dim = 64

    def embed_images(self, images: list[PILImage.Image]) -> NDArray[np.float32]:
        small = [np.asarray(image.convert("L").resize((8, 8)), np.float32) for image in images]
        rows = np.stack([thumb.ravel() - thumb.mean() + 1e-3 for thumb in small])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def embed_patches(self, image: PILImage.Image) -> NDArray[np.float32]:
        """Return a patch a pixel of the thumbnail, 64 times its share: their mean is the picture's."""
        vector = self.embed_images([image])[0]
        return (64 * np.diag(vector)).reshape(8, 8, 64)

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        rows = np.full((len(texts), 64), 1e-3, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.lower():
                row[ord(letter) % 64] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


MakeContext = Callable[..., ToolContext]


@pytest.fixture
def make_context(archive: Archive, store: ArtifactStore) -> MakeContext:
    """Return a maker of contexts whose images are the phantoms given."""

    def make(
        *phantoms: Phantom,
        images: Sequence[Image] | None = None,
        evidence: tuple[Evidence, ...] = (),
        **options: object,
    ) -> ToolContext:
        pictures = images or [image_of(phantom) for phantom in phantoms]
        archive.add(study_of(p, i) for p, i in zip(phantoms, pictures, strict=True))
        truth = TruthSegmenter({phantom.study_id: phantom.masks for phantom in phantoms})
        defaults: dict[str, object] = {
            "segmenter": lambda: truth,
            "index": lambda: None,
            "embedder": ThumbnailEmbedder,
        }
        return ToolContext(
            images=tuple(image.ref for image in pictures),
            archive=archive,
            artifacts=store,
            evidence=evidence,
            **(defaults | options),  # type: ignore[arg-type]
        )

    return make
