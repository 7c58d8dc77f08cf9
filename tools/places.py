"""Where a finding lies, in the words of the field: zone, lobe, organ, quadrant, depth.

Each rule is geometry on outlines that the segmenter gives; none looks at the finding's appearance.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from overread.imaging.study import Image, Mask
from overread.tools.geometry import centroid
from overread.tools.sides import eye_of, has_sides

Outline = Callable[[str], Mask | None]
"""A structure's mask by its name; None where it is not in the image."""

ORGANS = ("liver", "left kidney", "right kidney")
ZONES = ("upper zone", "middle zone", "lower zone")
# Parts of the brain's length on an axial slice, from the front: a rule of thumb for slices at the
# level of the lateral ventricles, where central and parieto-occipital sulcus are about there.
_FRONTAL, _PARIETAL = 0.40, 0.71
_REACH = 3  # pixels


def place_of(image: Image, target: str, mask: Mask, outline: Outline) -> str | None:
    """Return the place of a finding, or None where no rule applies or an outline is missing.

    - Radiograph of the chest: the zone, a third of the height of the lung that holds it.
    - Axial CT of the chest: anterior or posterior half of that lung.
    - Axial CT of the abdomen: the organ that it overlaps most.
    - Axial MR of the brain: the lobe, by its level between the front and the back of the brain.
    - Photograph of the fundus: the quadrant about the macula; nasal is where the disc is.
    - Ultrasound: the superficial or the deep half of the picture.

    Args:
        image: For its modality and view.
        target: Name of the finding.
        mask: Boolean, shape (rows, columns), not empty.
        outline: Gives the structures around it.

    Source: Hansell et al. 2008 (Fleischner Society, glossary) for the zones of a radiograph; ETDRS
    report 10 (1991) for the fields of the fundus.
    """
    chest, axial = image.modality in ("CR", "DX"), image.view == "axial"
    if target in ("haemorrhage", "exudate"):
        return _quadrant(mask, outline("optic disc"))
    if target in ("nodule", "consolidation") and chest and has_sides(image):
        level = _level(mask, _lung(mask, outline))
        return None if level is None else ZONES[min(max(int(level * 3), 0), 2)]
    if target == "nodule" and image.modality == "CT" and axial:
        level = _level(mask, _lung(mask, outline))
        return None if level is None else "anterior" if level < 0.5 else "posterior"
    if target == "lesion" and image.modality == "MR" and axial:
        level = _level(mask, outline("brain"))
        return None if level is None else _lobe(level)
    if target == "cyst" and image.modality == "CT" and axial:
        return _organ(mask, outline)
    if target in ("cyst", "mass") and image.modality == "US":
        return "superficial" if centroid(mask)[0] < mask.shape[0] / 2 else "deep"
    return None


def _level(mask: Mask, around: Mask | None) -> float | None:
    """Return the height of a mask's centre in an outline: 0 at its top, 1 at its bottom."""
    if around is None or not around.any():
        return None
    rows = np.flatnonzero(around.any(axis=1))
    return (centroid(mask)[0] - float(rows[0])) / max(float(rows[-1] - rows[0]), 1.0)


def _lung(mask: Mask, outline: Outline) -> Mask | None:
    """Return the lung that holds most of a mask."""
    lungs = [lung for name in ("left lung", "right lung") if (lung := outline(name)) is not None]
    return max(lungs, key=lambda lung: np.count_nonzero(mask & lung), default=None)


def _lobe(level: float) -> str:
    if level < _FRONTAL:
        return "frontal lobe"
    return "parietal lobe" if level < _PARIETAL else "occipital lobe"


def _organ(mask: Mask, outline: Outline) -> str | None:
    # An outline may leave the finding out: what it touches counts, too.
    reach = ndimage.binary_dilation(mask, iterations=_REACH)
    shared = {
        name: np.count_nonzero(reach & organ)
        for name in ORGANS
        if (organ := outline(name)) is not None
    }
    best = max(shared, key=lambda name: shared[name], default=None)
    return best if best is not None and shared[best] else None


def _quadrant(mask: Mask, disc: Mask | None) -> str | None:
    """Return the quadrant; None for a photograph centred on the disc, which shows no macula."""
    if disc is None or (eye := eye_of(disc)) is None:
        return None
    row, column = centroid(mask)
    right_half = column > (mask.shape[1] - 1) / 2
    nasal = right_half == (eye == "right")  # the disc of a right eye lies on the picture's right
    vertical = "supero" if row < (mask.shape[0] - 1) / 2 else "infero"
    return f"{vertical}{'nasal' if nasal else 'temporal'}"
