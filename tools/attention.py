"""Where a vision transformer attended for one of its labels.

Source: Chefer, Gur, Wolf, Generic attention-model explainability for interpreting bi-modal and
encoder-decoder transformers, ICCV (2021), section 3, for self-attention: equations 5 and 6.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from overread.imaging.errors import InputError


def relevance(logit: Tensor, attentions: Sequence[Tensor]) -> NDArray[np.float32]:
    """Return how much each patch of a picture counted for a logit, float32 (rows, columns), >= 0.

    In each layer the heads count by the gradient of the logit; what they hand on adds up over the
    layers. Where the first token pools the picture, it is asked; where none does, the mean of all.

    Args:
        logit: A scalar, with its graph.
        attentions: Of each layer, (1, heads, tokens, tokens), from which the logit came.

    Raises:
        InputError: The model has no attention over the whole picture.
    """
    if not attentions or any(a.ndim != 4 or a.shape != attentions[0].shape for a in attentions):
        raise InputError("the classifier has no attention over the whole picture; explain by words")
    tokens = attentions[0].shape[-1]
    side = int(tokens**0.5)
    # A class token, and perhaps one of distillation: more would be registers, or no square.
    first = tokens - side * side
    if len(attentions[0]) != 1 or first > 2:
        raise InputError("the classifier's attention is not over a square of patches")
    slopes = torch.autograd.grad(logit, list(attentions))
    related = torch.eye(tokens)
    for attention, slope in zip(attentions, slopes, strict=True):
        related = related + (attention * slope).clamp(min=0).mean(1)[0].detach() @ related
    told = related[0] if first else related.mean(0)
    return told[first:].reshape(side, side).numpy()
