"""Segmenters of the SAM family (SAM, MedSAM, SAM 2, SAM 3's tracker), by local folder.

They take points, boxes and a previous mask, and know no names.

Source: Kirillov et al., Segment anything, ICCV 2023, arXiv:2304.02643; Ravi et al., SAM 2,
arXiv:2408.00714; Ma et al., MedSAM, Nature Communications 15:654 (2024).
"""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from overread.imaging.errors import InputError
from overread.imaging.render import to_view
from overread.imaging.study import Image, Mask
from overread.tools.feature_cache import FeatureCache
from overread.tools.prompt_checks import check_prompts
from overread.tools.sam_family import Loaded, load, load_video
from overread.tools.sam_video import track
from overread.tools.segmenter import Box, Point, Segmentation

OVERLAP = "overlap with the truth (IoU), estimated by the model itself"

_SCRIBBLE_POINTS = 5
# What a mask becomes when it is a prompt: logits of +10 inside, -10 outside, as SAM 2 does it.
_SURE = 10.0
_UNREAD = object()


class SamSegmenter:
    """A promptable segmenter whose checkpoint lies in a folder.

    Attributes:
        version: Kind and hash. targets: None: it knows no names.
        loaded: Model and processor.
    """

    any_words = False

    def __init__(self, folder: Path) -> None:
        """Load it.

        Raises:
            ConfigError: The folder holds no checkpoint of the family, or no safetensors.
        """
        self.loaded: Loaded = load(folder)
        self.version = self.loaded.name
        self.targets: tuple[str, ...] = ()
        self._features: FeatureCache[Any] = FeatureCache()
        self._video: Any = _UNREAD
        self._lock = Lock()

    def segment(
        self,
        image: Image,
        target: str | None = None,
        points: Sequence[Point] = (),
        box: Box | None = None,
        scribble: Mask | None = None,
        previous: Mask | None = None,
    ) -> Segmentation:
        """Segment as `overread.tools.segmenter.Segmenter` describes; a name beside prompts is a label.

        A scribble becomes points along it. A previous mask goes in as a mask; alone, with the box
        around it, since the model wants a point or a box.
        """
        if not check_prompts(image.shape, points, box, scribble, previous):
            asked = f"'{target:.60}'" if target else "anything"
            raise InputError(
                f"this segmenter ({self.loaded.family.kind}) knows no names, so it cannot look for "
                f"{asked}: give a point, a box, a scribble or a mask, or set segmenter.words"
            )
        if scribble is not None:
            points = [*points, *along(scribble)]
        if not points and box is None:
            box = around(previous) if previous is not None else None
            if box is None:
                raise InputError("the scribble or the previous mask is empty")
        logits, score = self._run(image, points, box, previous)
        probability = np.asarray(torch.sigmoid(logits).numpy(), np.float32)
        mask = probability >= 0.5
        found = bool(mask.any())
        return Segmentation(mask, probability, found, score if found else 0.0, OVERLAP)

    def remember(
        self, images: Sequence[Image], start: int, first: Mask
    ) -> list[Segmentation] | None:
        """Follow a mask by memory, as `overread.tools.follow.Remembers` describes."""
        with self._lock:
            if self._video is _UNREAD:
                self._video = load_video(self.loaded)
        if self._video is None:
            return None
        model, processor = self._video
        return track(model, processor, images, start, first)

    def _run(
        self, image: Image, points: Sequence[Point], box: Box | None, previous: Mask | None
    ) -> tuple[Tensor, float]:
        """Return logits (rows, columns) and the model's own estimate of their quality."""
        model, processor = self.loaded.model, self.loaded.processor
        with torch.inference_mode():
            picture = PILImage.fromarray(to_view(image))
            given = processor(
                images=picture,
                input_points=[[[[x, y] for x, y, _ in points]]] if points else None,
                input_labels=[[[int(inside) for _, _, inside in points]]] if points else None,
                input_boxes=[[list(map(float, box))]] if box is not None else None,
                return_tensors="pt",
            )
            told = {
                key: value.float() if value.is_floating_point() else value
                for key, value in given.items()
                if key in ("input_points", "input_labels", "input_boxes")
            }
            pixels = given["pixel_values"]
            told["image_embeddings"] = self._features.of(
                image, lambda: model.get_image_embeddings(pixels)
            )
            if previous is not None:
                told["input_masks"] = self._as_prompt(previous, pixels.shape[-2:], given)
            # One point alone is ambiguous: the model proposes three masks, and the best is taken.
            ambiguous = len(points) == 1 and box is None and previous is None
            out = model(**told, multimask_output=ambiguous)
            best = int(out.iou_scores[0, 0].argmax())
            low = out.pred_masks[:, 0, best : best + 1].float()
            logits = self._restored(low, image.shape, pixels.shape[-2:], given)
            return logits, float(out.iou_scores[0, 0, best].clamp(0, 1))

    def _inner(self, given: Any, square: Sequence[int]) -> tuple[int, int]:
        """Return rows and columns that the picture takes in the square."""
        if self.loaded.family.stretched:
            return square[0], square[1]
        rows, columns = given["reshaped_input_sizes"][0].tolist()
        return int(rows), int(columns)

    def _as_prompt(self, mask: Mask, square: Sequence[int], given: Any) -> Tensor:
        """Return a mask as logits in the model's own geometry, (1, 1, side / 4, side / 4)."""
        rows, columns = self._inner(given, square)
        plane = torch.from_numpy(mask.astype(np.float32))[None, None]
        fitted = F.interpolate(plane, size=(rows, columns), mode="bilinear", antialias=True)
        padded = F.pad(fitted, (0, square[1] - columns, 0, square[0] - rows))
        size = [4 * side for side in self.loaded.model.prompt_encoder.image_embedding_size]
        small = F.interpolate(padded, size=size, mode="bilinear", antialias=True)
        return small * 2 * _SURE - _SURE

    def _restored(
        self, low: Tensor, shape: tuple[int, int], square: Sequence[int], given: Any
    ) -> Tensor:
        """Bring logits (1, 1, side / 4, side / 4) onto the image's own pixels."""
        rows, columns = self._inner(given, square)
        full = F.interpolate(low, size=tuple(square), mode="bilinear", align_corners=False)
        inner = full[..., :rows, :columns]
        return F.interpolate(inner, size=shape, mode="bilinear", align_corners=False)[0, 0]


def along(scribble: Mask) -> list[Point]:
    """Return a few places on a scribble, far from each other, as points inside.

    >>> along(np.array([[False, True, False]]))
    [(1, 0, True)]
    """
    places = np.argwhere(scribble)
    if not len(places):
        return []
    chosen = [places[len(places) // 2]]
    reach: NDArray[np.float64] = np.full(len(places), np.inf)
    while len(chosen) < min(_SCRIBBLE_POINTS, len(places)):
        reach = np.minimum(reach, ((places - chosen[-1]) ** 2).sum(axis=1))
        chosen.append(places[int(reach.argmax())])
    return [(int(column), int(row), True) for row, column in chosen]


def around(mask: Mask) -> Box | None:
    """Return the smallest box that holds a mask; None if it is empty.

    >>> around(np.array([[False, True], [False, True]]))
    (1, 0, 1, 1)
    """
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return None
    rows, columns = found[0]
    return columns.start, rows.start, columns.stop - 1, rows.stop - 1
