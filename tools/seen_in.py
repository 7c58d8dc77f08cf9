"""In which kinds of image the targets of the vocabulary are known."""

from collections.abc import Iterable

from overread.imaging.errors import InputError
from overread.imaging.phantoms.words import SETTINGS
from overread.imaging.study import UNSTATED
from overread.imaging.vocabulary import DOMAINS
from overread.imaging.wording import MODALITIES

# Modalities of one kind of picture (DICOM PS3.3, C.7.3.1.1.1): radiographs, and what a microscope shows.
_SAME = {"DX": "CR", "RG": "CR", "RF": "CR", "GM": "SM"}
# What a camera has taken may be a picture of anything, a film or a slide, too.
_ANYTHING = frozenset({UNSTATED, "XC"})


def is_known_in(modality: str, targets: Iterable[str]) -> bool:
    """Return whether images of a modality are among those in which one of some targets is known.

    A modality that tells nothing or is none of DICOM's rules nothing out, nor do names of which the
    vocabulary knows nothing.

    >>> is_known_in("DX", ["heart"]), is_known_in("MR", ["nuclei"]), is_known_in("OT", ["nuclei"])
    (True, False, True)
    """
    if modality in _ANYTHING or modality not in MODALITIES:
        return True
    codes = {SETTINGS[domain].modality_code for domain in _domains(targets)}
    return not codes or _SAME.get(modality, modality) in codes


def check_modality(modality: str, target: str, parts: tuple[str, ...]) -> None:
    """Check that a target may be looked for in an image.

    Args:
        modality: Of the image.
        target: As it was asked for.
        parts: The targets of the vocabulary that it stands for.

    Raises:
        InputError: The image is of a kind in which they are not known.
    """
    if not is_known_in(modality, parts):
        kinds = dict.fromkeys(SETTINGS[domain].modality for domain in _domains(parts))
        raise InputError(
            f"this segmenter knows {target:.60} in {' and '.join(kinds)} alone, and this image is "
            f"{modality}; point at it or box it to have it outlined all the same"
        )


def _domains(targets: Iterable[str]) -> list[str]:
    wanted = set(targets)
    return [
        domain
        for domain, (structures, findings) in DOMAINS.items()
        if not wanted.isdisjoint((*structures, *findings))
    ]
