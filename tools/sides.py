"""Patient left and right: only where the picture's orientation is known."""

import numpy as np

from overread.imaging.phantoms.truth import Side
from overread.imaging.study import Image, Mask
from overread.tools.geometry import box_around

MIDLINE = frozenset({"heart", "thorax", "body", "brain", "ventricles"})
# A mask with more than this part on its lesser side belongs to both sides.
_BOTH = 0.2
# A disc nearer to the middle than this part of the width is a photograph centred on the disc.
_CENTRED = 0.1


def has_sides(image: Image) -> bool:
    """Return whether patient left is known to be on the right of the picture.

    True for frontal radiographs and for axial CT and MR slices, which are shown as if the patient
    faced the viewer. A picture whose view is unknown has no sides: we do not guess.

    Source: ACR practice parameter for digital radiography (display); DICOM PS3.3 C.7.6.2.1.1
    (axial slices in patient coordinates, viewed from the feet).
    """
    if image.modality in ("CR", "DX"):
        return image.view in ("PA", "AP")
    return image.modality in ("CT", "MR") and image.view == "axial"


def patient_side(
    image: Image, target: str, mask: Mask, midline: float | None = None
) -> Side | None:
    """Return the patient side on which a mask lies.

    An optic disc tells the eye: it lies nasally, so on the right of a right eye's photograph.

    Args:
        image: For its modality and view.
        target: Name of the structure; those of the midline have no side.
        mask: Boolean, shape (rows, columns).
        midline: Column of the patient's middle; the picture's middle if None.

    Returns:
        None when the orientation is unknown, the structure is of the midline, the mask is empty,
        or more than a fifth of it lies on either side.

    Source: for the disc, ETDRS report 10 (1991), field 2: centred on the macula, seen as the
    examiner sees it.
    """
    if target == "optic disc" and mask.any():
        return eye_of(mask)
    if target in MIDLINE or not mask.any() or not has_sides(image):
        return None
    middle = (mask.shape[1] - 1) / 2 if midline is None else midline
    columns = np.nonzero(mask)[1]
    on_picture_right = float((columns > middle).mean())
    if _BOTH < on_picture_right < 1 - _BOTH:
        return None
    return "left" if on_picture_right > 0.5 else "right"


def eye_of(disc: Mask) -> Side | None:
    """Return the eye whose optic disc lies there; None for a photograph centred on the disc."""
    width = disc.shape[1]
    offset = float(np.nonzero(disc)[1].mean()) - (width - 1) / 2
    if abs(offset) < _CENTRED * width:
        return None
    return "right" if offset > 0 else "left"


def midline_of(outline: Mask) -> float | None:
    """Return the middle column of the box around the body, thorax or brain; None if empty."""
    if not outline.any():
        return None
    left, _, right, _ = box_around(outline)
    return (left + right) / 2
