"""Clicks as a person might put them on an object, from its true mask alone.

They do not look at any answer, so that every method gets the very same ones.
"""

import numpy as np
from scipy import ndimage

from overread.imaging.study import Mask
from overread.tools.follow import deepest
from overread.tools.segmenter import Point

ORDER = (True, True, False, True, False)
"""Inside or not, click by click."""

_RING = 0.5
"""How far around an object a click outside may lie, as a share of the object's own size."""


def clicks_on(mask: Mask, seed: int) -> tuple[Point, ...]:
    """Return five clicks: the first in the middle of the object, then inside, outside, inside, outside.

    Inner ones lie anywhere but at the border; outer ones in a ring around the object, a little off
    it. An object that fills the picture has no outside: those clicks are inside, too.

    Args:
        mask: One object, (rows, columns), not empty.
        seed: Of the places.
    """
    rng = np.random.default_rng(seed)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    inner = depth >= min(2.0, 0.5 * float(depth.max()))
    size = max(float(np.sqrt(mask.sum())), 4.0)
    away = ndimage.distance_transform_edt(~mask) if not mask.all() else np.zeros(mask.shape)
    outer = (away >= min(3.0, 0.25 * size)) & (away <= max(4.0, _RING * size))
    row, column = deepest(mask)
    clicks: list[Point] = [(column, row, True)]
    for inside in ORDER[1:]:
        inside = inside or not outer.any()
        where = np.flatnonzero(inner if inside else outer)
        row, column = divmod(int(rng.choice(where)), mask.shape[1])
        clicks.append((column, row, inside))
    return tuple(clicks)
