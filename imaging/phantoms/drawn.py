"""What a domain module hands over: a perfect picture with its masks and findings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.imaging.phantoms.truth import Finding, Side
from overread.imaging.study import Mask, Spacing


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A study before the report.

    Attributes:
        pixels: As in `Phantom.pixels`.
        spacing_mm: Between rows, then columns.
        masks: Structures and findings; empty findings are left out.
        findings: Computed from the masks.
        body_part, view, technique: Words for the header and the report.
        eye: Which eye, for fundus pictures.
    """

    pixels: NDArray[np.float32] | NDArray[np.uint8]
    spacing_mm: Spacing
    masks: dict[str, Mask]
    findings: tuple[Finding, ...]
    body_part: str
    view: str
    technique: str
    eye: Side | None = None
