"""Segmenters from MONAI bundles, by local folder: a network that knows the names of its classes."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.render import to_view
from overread.imaging.study import Image, Mask
from overread.tools.feature_cache import FeatureCache
from overread.tools.monai_bundle import Bundle, Step, build_network
from overread.tools.prompt_checks import check_prompts
from overread.tools.segmenter import INSIDE, Box, Point, Segmentation
from overread.tools.targets import canonical

_AXES = (("L", "R"), ("P", "A"), ("I", "S"))
_ABSENT = "one minus the highest probability of any pixel"


class MonaiSegmenter:
    """The network of a MONAI bundle; it finds its own classes by name.

    Attributes:
        version: Name and version of the bundle. targets: Its classes without the background.
    """

    any_words = False

    def __init__(self, bundle: Bundle) -> None:
        """Load it.

        Raises:
            ConfigError: As `build_network`.
        """
        self._bundle = bundle
        self._network = build_network(bundle)
        self._transforms = [_transform(step, len(bundle.shape)) for step in bundle.steps]
        self.targets = bundle.targets
        self.version = f"monai-bundle {bundle.name} {bundle.version}"
        self._kept: FeatureCache[NDArray[np.float32]] = FeatureCache()

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

        Prompts choose among the regions found of the class that is named: those that they touch
        stay. A previous mask is not looked at.
        """
        prompted = check_prompts(image.shape, points, box, scribble, previous)
        if target is None:
            raise InputError(
                f"this segmenter goes by names alone; name one of {', '.join(self.targets)}"
            )
        channel = self._bundle.channel_of(canonical(target, self.targets))
        probability = self._probability(image, channel)
        mask = probability >= 0.5
        if prompted:
            mask = _touched(mask, points, box, scribble)
        if not mask.any():
            return Segmentation(mask, probability, False, 1 - float(probability.max()), _ABSENT)
        return Segmentation(mask, probability, True, float(probability[mask].mean()), INSIDE)

    def _probability(self, image: Image, channel: int) -> NDArray[np.float32]:
        """Return that of each pixel, (rows, columns)."""
        return self._kept.of(image, lambda: self._probabilities(image))[channel]

    def _probabilities(self, image: Image) -> NDArray[np.float32]:
        """Return (classes, rows, columns)."""
        # MONAI's readers give pictures with the columns first.
        if self._bundle.channels == 3:
            planes = to_view(image).transpose(2, 1, 0).astype(np.float32)
        elif image.is_colour:
            planes = to_view(image).mean(axis=2).T[None].astype(np.float32)
        else:
            planes = np.ascontiguousarray(image.pixels.T[None], np.float32)
        data = torch.from_numpy(np.ascontiguousarray(planes))
        for transform in self._transforms:
            data = torch.as_tensor(transform(data))
        with torch.inference_mode():
            told = probabilities(self._logits(data.float()[None]), self._bundle)
            size = (image.shape[1], image.shape[0])
            full = F.interpolate(told, size=size, mode="bilinear", align_corners=False)[0]
        return np.ascontiguousarray(full.numpy().transpose(0, 2, 1))

    def _logits(self, data: Tensor) -> Tensor:
        """Run the network on (1, channels, columns, rows) in a size that it takes."""
        shape = self._bundle.shape
        size = [int(side) for side in data.shape[-2:]]
        fixed = [want if want > 1 else have for want, have in zip(shape, size, strict=True)]
        if self._bundle.patches and fixed != size:
            from monai.inferers import sliding_window_inference

            found = sliding_window_inference(data, fixed, 1, self._network, overlap=0.25)
            if not isinstance(found, Tensor):
                raise ConfigError(f"the bundle {self._bundle.name} gives more than one answer")
            return found
        if fixed != size:
            data = F.interpolate(data, size=fixed, mode="bilinear", align_corners=False)
        short = [-have % -want if want < 0 else 0 for want, have in zip(shape, fixed, strict=True)]
        whole = F.pad(data, (0, short[1], 0, short[0]))
        return self._network(whole)[..., : fixed[0], : fixed[1]]


def probabilities(logits: Tensor, bundle: Bundle) -> Tensor:
    """Return those of the classes, (1, classes, ...), from what the network says."""
    alone = logits.shape[1] == 1 or "background" not in bundle.classes.values()
    return logits.sigmoid() if alone else logits.softmax(dim=1)


def _transform(step: Step, dims: int):  # type: ignore[no-untyped-def]  # monai's own classes, if installed
    from monai import transforms

    options = dict(step.options)
    if step.name == "Resize":
        mode = "trilinear" if dims == 3 else "bilinear"
        options = {"spatial_size": options["spatial_size"], "mode": mode}
    if step.name == "Spacing":
        options = {"pixdim": options["pixdim"], "mode": "bilinear"}
    if step.name == "Orientation":
        options = {"axcodes": options["axcodes"], "labels": _AXES}
    try:
        return getattr(transforms, step.name)(**options)
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"the bundle's {step.name} has options that it does not take") from error


def _touched(mask: Mask, points: Sequence[Point], box: Box | None, scribble: Mask | None) -> Mask:
    """Return the regions of a mask that prompts touch, without those that a point leaves out."""
    labels, _ = ndimage.label(mask)
    wanted = {int(labels[y, x]) for x, y, inside in points if inside}
    if box is not None:
        wanted |= set(np.unique(labels[box[1] : box[3] + 1, box[0] : box[2] + 1]).tolist())
    if scribble is not None:
        wanted |= set(np.unique(labels[scribble]).tolist())
    chosen = wanted or set(np.unique(labels).tolist())
    chosen -= {int(labels[y, x]) for x, y, inside in points if not inside}
    return np.isin(labels, list(chosen - {0}))
