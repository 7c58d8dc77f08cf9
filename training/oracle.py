"""Stand-ins that know the truth, so that traces run the real tools on exact masks and neighbours.

For training data only. Both err on purpose now and then: the planner must report the evidence it
got, not what it believes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image as PILImage

from overread.imaging.phantoms.truth import Phantom
from overread.imaging.study import Image, Mask
from overread.imaging.vocabulary import DOMAINS, TARGETS
from overread.index.embedder import Vectors
from overread.index.filters import Scope
from overread.index.records import Hit
from overread.index.select import Cut, Policy
from overread.tools.segmenter import Box, Point, Segmentation

MISS_RATE = 0.04


class OracleSegmenter:
    """Returns the true mask of a phantom, by study id."""

    version = "oracle"
    any_words = False
    targets = TARGETS

    def __init__(self, phantoms: Mapping[str, Phantom], rng: np.random.Generator) -> None:
        """Know some phantoms."""
        self._phantoms = phantoms
        self._missed = {
            (study, name)
            for study, phantom in phantoms.items()
            for name in phantom.masks
            if name in DOMAINS[phantom.domain][1] and rng.random() < MISS_RATE
        }
        self._confidence = {name: round(float(rng.beta(12, 1)), 2) for name in TARGETS}

    def segment(
        self,
        image: Image,
        target: str | None = None,
        points: Sequence[Point] = (),
        box: Box | None = None,
        scribble: Mask | None = None,
        previous: Mask | None = None,
    ) -> Segmentation:
        """Return the true mask of the target; prompts are not needed."""
        study = image.ref.study_id
        mask = self._phantoms[study].masks.get(target or "")
        if mask is None or (study, target) in self._missed or not mask.any():
            mask = np.zeros(image.shape, bool)
        found = bool(mask.any())
        sure = max(self._confidence[target or ""], 0.51)
        return Segmentation(mask, mask.astype(np.float32), found, sure)


class _Blind:
    """An embedder that sees nothing: the oracle knows the image by its study."""

    name = "oracle"
    dim = 1

    def embed_images(self, images: list[PILImage.Image]) -> Vectors:
        """Return vectors that are like no words, so that no picture is taken for a domain."""
        return np.zeros((len(images), 1), np.float32)

    def embed_texts(self, texts: list[str]) -> Vectors:
        """Return the same vector for every text."""
        return np.ones((len(texts), 1), np.float32)


class OracleIndex:
    """Returns neighbours of the same domain that mostly share the findings.

    Speaks as `overread.index.retrieve.retrieve` asks.
    """

    def __init__(self, phantoms: Mapping[str, Phantom], rng: np.random.Generator) -> None:
        """Know some phantoms."""
        self.embedder = _Blind()
        self.policy = Policy()
        self._phantoms = phantoms
        self._rng = rng

    def embedder_of(self, domain: str) -> _Blind:
        """Return the one embedder."""
        return self.embedder

    def cut(self, domain: str) -> Cut:
        """Return the default cut."""
        return Cut()

    def search(self, text: str, k: int, scope: Scope) -> list[Hit]:
        """Return as many hits as are asked for: all cases match all words."""
        return self.search_vector(np.zeros(1, np.float32), k, scope)

    def search_vector(self, vector: Vectors, k: int, scope: Scope) -> list[Hit]:
        """Return k invented hits for the study that must not come back itself, best first."""
        phantom, rng = self._phantoms[scope.exclude.study], self._rng
        own = tuple(finding.name for finding in phantom.findings)
        known = DOMAINS[phantom.domain][1]
        scores = np.sort(rng.uniform(0.6, 0.98, k))[::-1]
        hits = []
        for i, score in enumerate(scores):
            labels = own
            if rng.random() < 0.4 and known:
                labels = tuple(name for name in known if rng.random() < 0.3)
            hits.append(
                Hit(
                    id=f"h{i}",
                    ref=f"none-{i}/s/i",
                    score=float(score),
                    patient_id=f"pt-{i}",
                    study_id=f"none-{i}",
                    labels=labels or ("normal",),
                    report="",
                    modality=phantom.modality,
                    body_part=phantom.body_part,
                    domain=phantom.domain,
                    source="phantom",
                    licence="CC0-1.0",
                )
            )
        return hits
