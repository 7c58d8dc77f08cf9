"""Objects to be outlined by clicks and boxes: of phantoms of test patients, and of real pictures."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import sample
from overread.imaging.study import Image, ImageRef, Mask
from overread.tools.geometry import largest_region

_INSTANCES = 1
_SMALLEST = 30
"""Pixels of the smallest object that is clicked."""


@dataclass(frozen=True, slots=True)
class Case:
    """An object to be outlined.

    Attributes:
        group: "phantoms, chest-xray" or "real, dsb2018_nuclei".
        cluster: Of the bootstrap: the patient, or the picture where none is known.
        name: Unique among the objects.
    """

    group: str
    cluster: str
    name: str
    image: Image
    truth: Mask


def phantom_cases(number: int, seed: int = 0) -> Iterator[Case]:
    """Yield the objects of phantoms of the test split."""
    for phantom in sample("test", number, seed):
        image = phantom_image(phantom)
        for name, mask in phantom.masks.items():
            truth = largest_region(mask)
            if truth.sum() >= _SMALLEST:
                group, unique = f"phantoms, {phantom.domain}", f"{phantom.study_id}, {name}"
                yield Case(group, phantom.patient_id, unique, image, truth)


def real_cases(folder: Path, seed: int = 0) -> Iterator[Case]:
    """Yield the objects of a folder's pictures that have masks; volumes are left to their slices."""
    rng = np.random.default_rng(seed)
    for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines():
        entry = json.loads(line)
        if not entry["masks"] or not entry["image"].endswith(".png"):
            continue
        with PIL.Image.open(folder / entry["image"]) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        labels = np.asarray(PIL.Image.open(folder / entry["masks"][0])).astype(np.int64)
        image = Image(ImageRef(Path(entry["image"]).stem, "s0", "i0"), pixels, entry["modality"])
        chosen = [largest_region(labels > 0)]
        if str(entry.get("mask_type", "")).startswith("instances"):
            numbers, sizes = np.unique(labels[labels > 0], return_counts=True)
            large = numbers[sizes >= _SMALLEST]
            picked = rng.choice(large, min(_INSTANCES, len(large)), replace=False)
            chosen = [labels == one for one in picked]
        for number, truth in enumerate(chosen):
            cluster = entry["patient_id"] or entry["image"]
            unique = f"{entry['image']}, object {number}"
            yield Case(f"real, {entry['source']}", cluster, unique, image, truth)
