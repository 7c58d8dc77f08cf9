"""Masks for words that a segmenter does not know: text, saliency, prompts, mask.

First it is asked whether the picture shows the thing at all. Findings of the vocabulary have
calibrated curves (`overread.tools.zero_shot`); any other word is weighed by how much nearer the
picture lies to a caption with the word than to one without it. Where the answer is no, nothing is
outlined.
"""

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.study import Image, Mask
from overread.index.domains import UNKNOWN, domain_of, identify
from overread.index.embedder import Embedder
from overread.index.patches import PatchEmbedder
from overread.index.records import caption, picture
from overread.tools.prompt_checks import check_prompts
from overread.tools.saliency import Pointed, prompts_from, saliency
from overread.tools.segmenter import Box, Point, Segmentation, Segmenter
from overread.tools.targets import canonical
from overread.tools.zero_shot import NORMAL, score, vector_of

CALIBRATION = Path(__file__).with_name("weights") / "saliency.json"
MAX_WORDS = 80

BY_WORDS = "presence by words, calibrated on phantoms; the place by a coarse saliency map"
UNCALIBRATED = "presence and place by words, not calibrated"


class TextSegmenter:
    """A segmenter that is pointed at what a text means.

    Attributes:
        version: Of the promptable segmenter and of the embedder.
        targets: Of the promptable segmenter, which finds these by itself.
    """

    any_words = True

    def __init__(self, prompted: Segmenter, embedder: Embedder) -> None:
        """Put an embedder before a segmenter.

        Raises:
            ConfigError: The embedder cannot tell where.
        """
        if not isinstance(embedder, PatchEmbedder):
            raise ConfigError(
                f"segmenter.words: the embedder {embedder.name} cannot tell where; use a CLIP or "
                "SigLIP model"
            )
        self._inner, self._embedder, self._patches = prompted, embedder, embedder
        self.targets = tuple(prompted.targets)
        self.version = f"{prompted.version}, pointed at by {embedder.name}"

    def segment(
        self,
        image: Image,
        target: str | None = None,
        points: Sequence[Point] = (),
        box: Box | None = None,
        scribble: Mask | None = None,
        previous: Mask | None = None,
    ) -> Segmentation:
        """Segment as `overread.tools.segmenter.Segmenter` describes.

        The promptable segmenter's own names, and whatever a person points at, go to it as they are.
        """
        prompted = check_prompts(image.shape, points, box, scribble, previous)
        known = self._known(target)
        if target is None or prompted or known:
            name = target if known else None
            return self._inner.segment(image, name, points, box, scribble, previous)
        if not target.strip() or len(target) > MAX_WORDS:
            raise InputError(f"name what to look for, in at most {MAX_WORDS} characters")
        present, basis = self.presence(image, target)
        pointed = self.point(image, target) if present >= 0.5 else None
        if pointed is None:
            nothing = np.zeros(image.shape, np.float32)
            return Segmentation(nothing > 0, nothing, False, max(1 - present, 0.5), basis)
        # The box alone, as MedCLIP-SAMv2 prompts: words often point beside the thing, and a click is
        # followed to the letter (docs/segmenter.md).
        found = self._inner.segment(image, None, box=pointed.box)
        sure = min(present, found.confidence) if found.found else 1 - present
        return Segmentation(found.mask, found.probability, found.found, sure, basis)

    def point(self, image: Image, text: str) -> Pointed | None:
        """Return prompts for what a text means; None where all places are alike."""
        mod, part = image.modality, image.body_part or ""
        towards = vector_of(self._embedder, text, mod, part)
        normal = vector_of(self._embedder, NORMAL, mod, part)
        return prompts_from(saliency(self._patches, image, picture(image), towards - normal))

    def presence(self, image: Image, text: str) -> tuple[float, str]:
        """Return the probability that an image shows what a text means, and where it comes from."""
        embedder = self._embedder
        domain = domain_of(image.modality, image.body_part)
        if domain == UNKNOWN:
            domain = identify(image, embedder).domain
        part = image.body_part or ""
        told = score(embedder, picture(image), (text,), domain, image.modality, part)[0]
        if told.probability is not None:
            return told.probability, BY_WORDS
        fitted = any_word_curve(embedder.name)
        slope, offset = fitted or (1.0, 0.0)
        logit = slope * lead_of_word(embedder, image, text) + offset
        return 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0))), (
            BY_WORDS if fitted else UNCALIBRATED
        )

    def _known(self, target: str | None) -> bool:
        if target is None or not self.targets:
            return False
        try:
            canonical(target, self.targets)
        except InputError:
            return False
        return True


def lead_of_word(embedder: Embedder, image: Image, text: str) -> float:
    """Return how much nearer an image lies to a caption with a word than without it, in cosine."""
    mod, part = image.modality, image.body_part or ""
    named = vector_of(embedder, text, mod, part)
    without = embedder.embed_texts([caption(mod, part, ())])[0]
    return float(embedder.embed_images([picture(image)])[0] @ (named - without))


@lru_cache(maxsize=1)
def _calibration() -> dict[str, tuple[float, float]]:
    return json.loads(CALIBRATION.read_text("utf-8")) if CALIBRATION.is_file() else {}


def any_word_curve(embedder: str) -> tuple[float, float] | None:
    """Return slope and offset of the curve for any word; None where none was fitted."""
    found = _calibration().get(embedder)
    return None if found is None else (found[0], found[1])
