"""Count objects, also where they touch."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from overread.imaging.study import Mask
from overread.tools.geometry import regions

# A waist shallower than this part of the typical radius is shape, not two objects.
_WAIST = 0.15
# Specks below this part of the median object's area are noise of the mask.
_SPECK = 0.1


def split_touching(mask: Mask) -> NDArray[np.int32]:
    """Label roundish objects 1..n, cutting those that touch at their waist.

    Args:
        mask: Boolean, shape (rows, columns).

    Returns:
        Labels, shape (rows, columns); 0 is background.

    Source: Vincent and Soille, Watersheds in digital spaces, IEEE PAMI 13:583 (1991), on the
    distance transform, with the h-maxima that Soille, Morphological Image Analysis (2003),
    section 9.2, proposes against over-segmentation.
    """
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 0.7) * mask
    radius = float(np.median(ndimage.maximum(depth, ndimage.label(mask)[0], _ids(mask))))
    markers = label(h_maxima(depth, max(_WAIST * radius, 0.3)))
    return np.asarray(watershed(-depth, markers, mask=mask), np.int32)


def count(mask: Mask, *, touching: bool) -> int:
    """Return the number of objects.

    Args:
        mask: Boolean, shape (rows, columns).
        touching: Whether one region may be several objects (cells); otherwise regions are counted.
    """
    if not touching:
        return regions(mask)
    sizes = np.bincount(split_touching(mask).ravel())[1:]
    sizes = sizes[sizes > 0]
    return int((sizes >= _SPECK * np.median(sizes)).sum()) if sizes.size else 0


def _ids(mask: Mask) -> NDArray[np.int64]:
    return np.arange(1, ndimage.label(mask)[1] + 1)
