"""Measure how far measurements by the bundled segmenter are usually off, for `measure` and `quantify`.

    python -m overread.training.segmenter_errors --phantoms 700

On phantoms of validation patients: each structure and finding that is there and found is measured by
its mask and by the true one. A share is chosen for each target so that the truth lies within the
stated error in 68 % of cases, as it would for a standard deviation.
"""

import argparse
import json
import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
from rich.progress import track

from overread.imaging.files import ORDINARY, file_hash, write_whole
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import sample
from overread.imaging.vocabulary import FINDINGS
from overread.tools import geometry
from overread.tools.bundled_segmenter import ERRORS, WEIGHTS, BundledSegmenter
from overread.tools.measure import error_of, kind_of, measure_masks
from overread.tools.segmenter import ErrorKind, Segmentation

QUANTITIES = ("long_axis", "short_axis", "width", "height", "area", "count", "midline_shift")
_COUNTED = {"nuclei", *FINDINGS}
_WITHIN = 0.683
"""Of a normal distribution within one standard deviation."""
_FEWEST = 20


def share(off: float, stated: float, scale: float) -> float:
    """Return the share of `scale` that an error lacks to reach what a measurement is off.

    >>> share(5.0, 3.0, 10.0), share(2.0, 3.0, 10.0)
    (0.4, 0.0)
    """
    return math.sqrt(max(0.0, off**2 - stated**2)) / scale


def shares(number: int) -> dict[str, dict[ErrorKind, list[float]]]:
    """Return what errors without this part lack, by target and kind, over so many phantoms."""
    segmenter = BundledSegmenter()
    lacking: dict[str, dict[ErrorKind, list[float]]] = defaultdict(lambda: defaultdict(list))
    for phantom in track(sample("validation", number, seed=0), "Measuring", total=number):
        image = phantom_image(phantom)
        for target, truth in phantom.masks.items():
            made = _bare(segmenter.segment(image, target))
            if not made.found:
                continue
            for quantity in QUANTITIES:
                if quantity == "count" and target not in _COUNTED:
                    continue
                found, true, scale = [made], [truth], None
                if quantity == "midline_shift":
                    if target != "ventricles":
                        continue
                    brain = _bare(segmenter.segment(image, "brain"))
                    found, true = [made, brain], [truth, phantom.masks["brain"]]
                    scale = geometry.extent(brain.mask, image.spacing_mm or geometry.PIXELS)[1]
                value, _ = measure_masks(image, quantity, target, *(one.mask for one in found))
                known, _ = measure_masks(image, quantity, target, *true)
                stated = error_of(image, quantity, target, found)
                lacking[target][kind_of(quantity)].append(
                    share(abs(value - known), stated, scale or value)
                )
    return lacking


def _bare(made: Segmentation) -> Segmentation:
    return replace(made, errors={})


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=700, help="of validation patients")
    found = shares(parser.parse_args().phantoms)
    errors = {
        target: {
            kind: round(float(np.quantile(values, _WITHIN)), 4)
            for kind, values in sorted(kinds.items())
            if len(values) >= _FEWEST
        }
        for target, kinds in sorted(found.items())
    }
    told = {"segmenter": file_hash(WEIGHTS), "errors": errors}
    write_whole(ERRORS, json.dumps(told, indent=1) + "\n", mode=ORDINARY)


if __name__ == "__main__":
    main()
