"""Whether an image shows anything at all."""

from overread.imaging.study import Image


def is_blank(image: Image) -> bool:
    """Return whether all pixels of an image are alike, as they are if it has only one.

    A colour image is blank if its pixels are of one colour.
    """
    first = image.pixels[:1, :1]
    return bool((image.pixels == first).all())
