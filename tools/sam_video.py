"""Follow a mask over the frames of a clip by SAM 2's or SAM 3's memory.

Source: Ravi et al., SAM 2: segment anything in images and videos, arXiv:2408.00714.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from overread.imaging.render import to_view
from overread.imaging.study import Image, Mask
from overread.tools.segmenter import Segmentation

VISIBLE = "probability that it is visible, by the model itself"
_OBJECT = 1


def track(
    model: Any, processor: Any, images: Sequence[Image], start: int, first: Mask
) -> list[Segmentation]:
    """Return one segmentation a frame, before and after the one that is outlined.

    Args:
        model: A transformers model for video.
        processor: Its processor.
        images: In order, all of one shape (rows, columns).
        start: Index of the frame that is outlined.
        first: Its mask, (rows, columns).
    """
    found: dict[int, Segmentation] = {}
    for backwards in (False, True):
        frames = np.stack([to_view(image) for image in images])
        with torch.inference_mode():
            session = processor.init_video_session(video=frames, dtype=torch.float32)
            processor.add_inputs_to_inference_session(
                session, frame_idx=start, obj_ids=_OBJECT, input_masks=first
            )
            model(session, frame_idx=start)
            steps = model.propagate_in_video_iterator(
                session, start_frame_idx=start, reverse=backwards
            )
            for out in steps:
                found[out.frame_idx] = _segmentation(out, images[out.frame_idx].shape)
    # The frame that was outlined stays as it was outlined.
    found[start] = Segmentation(first, first.astype(np.float32), True, 1.0, VISIBLE)
    return [found[number] for number in range(len(images))]


def _segmentation(out: Any, shape: tuple[int, int]) -> Segmentation:
    low: Tensor = out.pred_masks[:1, :1].float()
    logits = F.interpolate(low, size=shape, mode="bilinear", align_corners=False)[0, 0]
    visible = 1.0
    if out.object_score_logits is not None:
        visible = float(out.object_score_logits.flatten()[0].sigmoid())
    probability = np.asarray(logits.sigmoid().numpy(), np.float32)
    mask = probability >= 0.5
    seen = visible >= 0.5 and bool(mask.any())
    return Segmentation(mask & seen, probability, seen, visible if seen else 1 - visible, VISIBLE)
