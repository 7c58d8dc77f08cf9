"""The segmenter that comes with Overread. Trained on phantoms: not fit for clinical use."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import file_hash
from overread.imaging.render import to_view
from overread.imaging.study import Image, Mask
from overread.tools.blank import is_blank
from overread.tools.click_net import ClickHead
from overread.tools.feature_cache import FeatureCache
from overread.tools.prompt_checks import check_prompts
from overread.tools.prompts import Letterbox, prompt_planes, view_plane
from overread.tools.seen_in import check_modality
from overread.tools.segmenter import INSIDE, Box, ErrorKind, Point, Segmentation
from overread.tools.segmenter_net import SegmenterNet
from overread.tools.targets import resolve

WEIGHTS = Path(__file__).with_name("weights") / "segmenter.safetensors"
CLICKS = WEIGHTS.with_name("clicks.safetensors")
"""Of the head that follows prompts without a name; it reads the features of `WEIGHTS` alone."""
ERRORS = WEIGHTS.with_name("errors.json")
"""How far measurements are usually off, by target; `training/segmenter_errors.py` writes it."""
_PRESENCE = "probability that it is there, calibrated on phantoms"


class BundledSegmenter:
    """A promptable segmenter of about two million parameters, for one CPU thread."""

    any_words = False

    def __init__(self, weights: Path = WEIGHTS, clicks: Path | None = CLICKS) -> None:
        """Load weights.

        Args:
            weights: Of the network that knows names.
            clicks: Of the head for prompts without a name; None lets the network answer those, too.

        Raises:
            ConfigError: A file is missing or is not one of ours, or they do not belong together.
        """
        state, metadata = _load(weights)
        try:
            self.targets: tuple[str, ...] = tuple(json.loads(metadata["targets"]))
            self._calibration: dict[str, list[float]] = json.loads(metadata["calibration"])
            self.version = f"bundled-segmenter {metadata['version']}"
            self._net = SegmenterNet(len(self.targets))
            self._net.load_state_dict({name: value.float() for name, value in state.items()})
        except (KeyError, RuntimeError, json.JSONDecodeError) as error:
            raise ConfigError(
                f"{weights} is not a weights file of this segmenter: {error}"
            ) from error
        self._net.eval()
        digest = file_hash(weights)
        told = json.loads(ERRORS.read_text("utf-8"))
        self._errors = told["errors"] if told["segmenter"] == digest else {}
        self._clicks = None
        if clicks is not None:
            self._clicks, version = _click_head(clicks, weights, digest)
            self.version += f", clicks {version}"
        self._maps: FeatureCache[list[Tensor]] = FeatureCache()

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

        A name that stands for several targets ("lungs") gives the union of their masks. One that is
        known in other kinds of image alone is refused, unless a prompt points at it.
        """
        prompted = check_prompts(image.shape, points, box, scribble, previous)
        if target is None and not prompted:
            raise InputError("name a target, or give a point, a box, a scribble or a mask")
        parts = () if target is None else resolve(target)
        if target is not None and not prompted:  # where a person points at it, it is there
            check_modality(image.modality, target, parts)
        if is_blank(image):
            # A blank picture holds nothing; the network was never shown one and sees cells in it.
            nothing = np.zeros(image.shape, np.float32)
            return Segmentation(nothing > 0, nothing, False, 1.0, "the picture is blank")
        letterbox = Letterbox.of(*image.shape)
        planes = prompt_planes(letterbox, points, box, scribble, previous)
        names: list[str | None] = [*parts] if parts else [None]
        ids = [len(self.targets) if name is None else self.targets.index(name) for name in names]
        with torch.inference_mode():
            maps = self._features(image, letterbox)
            # A lone box was measured, too: there the network is as good on phantoms, better on real
            # pictures (docs/segmenter.md).
            pointed = bool(points) or scribble is not None or previous is not None
            if target is None and pointed and self._clicks is not None:
                made = self._clicks(maps, torch.zeros(1, dtype=torch.int64), planes[None])
                return _pointed_at(letterbox.unfit(made[0].sigmoid()))
            logits, presence = self._net.head(
                maps,
                torch.zeros(len(ids), dtype=torch.int64),
                self._net.words(torch.tensor(ids)),
                planes[None].expand(len(ids), -1, -1, -1),
            )
            cuts = torch.tensor([0.5 if n is None else self._calibration[n][2] for n in names])
            probability = (logits - cuts.logit()[:, None, None]).sigmoid().amax(dim=0)
        full = letterbox.unfit(probability)
        mask = full >= 0.5
        if target is None:
            return _pointed_at(full)
        present = max(
            self._calibrated(name, float(logit))
            for name, logit in zip(names, presence, strict=True)
            if name is not None
        )
        if prompted and mask.any():  # a person points at it: presence is given
            sure = float(full[mask].mean())
            basis = INSIDE if sure > present else _PRESENCE
            return Segmentation(mask, full, True, max(present, sure), basis, self._usual(names))
        found = present >= 0.5 and bool(mask.any())
        sure = present if found else 1.0 - present
        return Segmentation(mask & found, full, found, sure, _PRESENCE, self._usual(names))

    def _features(self, image: Image, letterbox: Letterbox) -> list[Tensor]:
        return self._maps.of(
            image, lambda: self._net.backbone(view_plane(to_view(image), letterbox)[None])
        )

    def _usual(self, names: Sequence[str | None]) -> Mapping[ErrorKind, float]:
        """Return the usual errors; of several targets together the largest."""
        every = [self._errors.get(name, {}) for name in names]
        return {kind: max(one.get(kind, 0.0) for one in every) for one in every for kind in one}

    def _calibrated(self, target: str, logit: float) -> float:
        scale, offset, _ = self._calibration[target]
        return 1.0 / (1.0 + math.exp(-min(max(scale * logit + offset, -30.0), 30.0)))


def _pointed_at(probability: NDArray[np.float32]) -> Segmentation:
    mask = probability >= 0.5
    sure = float(probability[mask].mean()) if mask.any() else 0.0
    return Segmentation(mask, probability, bool(mask.any()), sure, INSIDE)


def _click_head(path: Path, weights: Path, digest: str) -> tuple[ClickHead, str]:
    state, metadata = _load(path)
    head = ClickHead()
    try:
        head.load_state_dict({name: value.float() for name, value in state.items()})
        version = metadata["version"]
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"{path} is not a weights file of the click head: {error}") from error
    if metadata.get("backbone") != digest:
        raise ConfigError(f"{path} was trained on other features than those of {weights}")
    return head.eval(), version


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise ConfigError(f"the segmenter's weights are not at {path}; reinstall overread")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except SafetensorError as error:
        raise ConfigError(f"{path} is not a safetensors file: {error}") from error


@lru_cache(maxsize=1)
def bundled_segmenter() -> BundledSegmenter:
    """Return the bundled segmenter, loaded once."""
    return BundledSegmenter()
