"""From words to prompts: where in a picture an embedder finds what a text says.

The recipe is that of MedCLIP-SAMv2: text, saliency, prompts, promptable segmenter. Its saliency is
learnt by an information bottleneck; here it is the likeness of each patch to the text beyond its
likeness to "normal", which needs no training and is coarser.

Source: Koleilat et al., MedCLIP-SAMv2, arXiv:2409.19483; patches: `overread.index.patches`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from scipy import ndimage
from skimage.filters import threshold_otsu

from overread.imaging.study import Image, Mask
from overread.index.explain import on_image
from overread.index.patches import PatchEmbedder
from overread.tools.segmenter import Box, Point

Heat = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pointed:
    """Prompts for the most salient region.

    Attributes:
        points: Its most salient place, as one point inside.
        box: Around it.
        region: The region itself, (rows, columns).
    """

    points: tuple[Point, ...]
    box: Box
    region: Mask


def saliency(
    embedder: PatchEmbedder, image: Image, picture: PILImage.Image, towards: NDArray[np.floating]
) -> Heat:
    """Return how much each pixel of an image speaks for a text, float32 (rows, columns).

    Args:
        embedder: That can tell where.
        image: Its pixels are the answer's.
        picture: The same as the embedder sees it: square, centred, black beside it.
        towards: The text's vector less that of what it is to be told from, (dim,).
    """
    patches = np.asarray(embedder.embed_patches(picture) @ towards, np.float32)
    square = PILImage.fromarray(patches, mode="F").resize(picture.size, PILImage.Resampling.BICUBIC)
    return on_image(np.asarray(square), image)


def prompts_from(heat: Heat) -> Pointed | None:
    """Return prompts for the region that holds most of the saliency; None where all is alike.

    The map is cut at Otsu's threshold; of the connected regions above it the one with the largest
    sum stays.
    """
    if not np.isfinite(heat).all() or heat.max() - heat.min() < 1e-6:
        return None
    cut = threshold_otsu(heat)
    labels, found = ndimage.label(heat > cut)
    if found == 0:
        return None
    weights = ndimage.sum_labels(heat - cut, labels, np.arange(1, found + 1))
    region = labels == 1 + int(np.argmax(weights))
    row, column = np.unravel_index(int(np.where(region, heat, -np.inf).argmax()), heat.shape)
    rows, columns = ndimage.find_objects(region.astype(np.uint8))[0]
    box = (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
    return Pointed(((int(column), int(row), True),), box, region)
