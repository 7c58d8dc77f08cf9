"""Measure the finished segmenter and write its model card."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy import ndimage

from overread.evals.bench.click_prompts import clicks_on
from overread.imaging.files import ORDINARY, file_hash, write_whole
from overread.imaging.phantoms import HELD_OUT
from overread.imaging.study import Image, ImageRef, Mask
from overread.imaging.vocabulary import DOMAINS, TARGETS
from overread.tools.bundled_segmenter import BundledSegmenter
from overread.tools.counting import count
from overread.tools.geometry import largest_region
from overread.tools.segmenter_net import SIDE
from overread.training.segmenter_calibration import truth_table
from overread.training.segmenter_data import Pool

_REF = ImageRef("card", "s0", "i0")
STEPS = (1, 3, 5)
"""Clicks after which the Dice is told."""


def dice(mask: Mask, truth: Mask) -> float:
    """Return the overlap of two masks; 1 if both are empty.

    Source: Dice, Measures of the amount of ecologic association, Ecology 26:297 (1945).

    >>> dice(np.array([[True, True]]), np.array([[True, False]])).__round__(3)
    0.667
    """
    total = int(mask.sum()) + int(truth.sum())
    return 2 * float((mask & truth).sum()) / total if total else 1.0


def write_card(weights: Path, test: Pool, real: Path | None) -> None:
    """Run the segmenter on test phantoms and real images, and write README.md beside the weights.

    Args:
        weights: Of the segmenter.
        test: Phantoms of the test split.
        real: Folder with manifest.jsonl and masks of nuclei; None to leave real images out.
    """
    segmenter = BundledSegmenter(weights, clicks=None)  # a head for other weights would not fit
    held_out = np.isin(test.scanners, list(HELD_OUT.values()))
    digest = file_hash(weights)
    text = _TEXT.format(
        version=segmenter.version,
        side=SIDE,
        size=weights.stat().st_size / 1e6,
        digest=digest,
        phantoms=len(test.views),
        table=_phantom_table(segmenter, test, held_out),
        real=_nuclei(segmenter, real) if real else "Not measured in this run.",
        clicks=_clicks(segmenter, test),
    )
    write_whole(weights.with_name("README.md"), text, mode=ORDINARY)


def _phantom_table(segmenter: BundledSegmenter, pool: Pool, held_out: NDArray[np.bool_]) -> str:
    """Return Markdown rows: Dice, Dice by one click, and presence, for known and held-out devices.

    A target that is there but reported as absent has a Dice of 0.
    """
    present, known = truth_table(pool)
    overlap: dict[tuple[str, bool], list[float]] = defaultdict(list)
    clicked: dict[str, list[float]] = defaultdict(list)
    right: dict[tuple[str, bool], list[tuple[bool, bool]]] = defaultdict(list)
    for index, view in enumerate(pool.views):
        image, masks = Image(_REF, view, "OT"), pool.masks(index)
        for number, name in enumerate(TARGETS):
            inside = name in _names_of(str(pool.domains[index]))
            if not known[index, number] or not inside:
                continue
            told = segmenter.segment(image, name)
            key = (name, bool(held_out[index]))
            right[key].append((told.found, bool(present[index, number])))
            if present[index, number]:
                overlap[key].append(dice(told.mask, masks[number]))
                clicked[name].append(_one_click(segmenter, image, masks[number]))
    rows = []
    for name in TARGETS:
        cells = [
            f"{_mean(overlap[name, held]):.2f} ({len(overlap[name, held])})"
            if overlap[name, held]
            else "-"
            for held in (False, True)
        ]
        cells += [_balanced(right[name, held]) for held in (False, True)]
        cells.append(f"{_mean(clicked[name]):.2f}" if clicked[name] else "-")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _names_of(domain: str) -> tuple[str, ...]:
    structures, findings = DOMAINS[domain]
    return (*structures, *findings)


def _one_click(segmenter: BundledSegmenter, image: Image, mask: Mask) -> float:
    """Return the Dice of the largest object, from one click at its deepest place, without a name."""
    region = largest_region(mask)
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), region.shape)
    told = segmenter.segment(image, points=[(int(column), int(row), True)])
    return dice(told.mask, region)


def _clicks(segmenter: BundledSegmenter, pool: Pool) -> str:
    """Return the Dice after 1, 3 and 5 clicks on the largest region of each target."""
    found: dict[int, list[float]] = defaultdict(list)
    for index, view in enumerate(pool.views):
        image = Image(_REF, view, "OT")
        for number, mask in pool.masks(index).items():
            region = largest_region(mask)
            clicks = clicks_on(region, seed=index * len(TARGETS) + number)
            for step in STEPS:
                told = segmenter.segment(image, points=clicks[:step])
                found[step].append(dice(told.mask, region))
    means = ", ".join(f"{_mean(found[step]):.2f} after {step}" for step in STEPS)
    return f"Dice {means} ({len(found[STEPS[0]])} objects of the phantoms above)."


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _balanced(pairs: list[tuple[bool, bool]]) -> str:
    """Return the mean of sensitivity and specificity; "-" where only one class occurs."""
    rates = [
        _mean([float(said == truth) for said, truth in pairs if truth == wanted])
        for wanted in (True, False)
    ]
    return "-" if any(np.isnan(rates)) else f"{np.mean(rates):.2f}"


def _nuclei(segmenter: BundledSegmenter, folder: Path) -> str:
    overlaps, errors, found = [], [], 0
    for pixels, labels in _real_nuclei(folder):
        told = segmenter.segment(Image(_REF, pixels, "SM"), "nuclei")
        found += told.found
        overlaps.append(dice(told.mask, labels > 0))
        number = len(np.unique(labels)) - 1
        errors.append(abs(count(told.mask, touching=True) - number) / number)
    return (
        f"Nuclei in {len(overlaps)} real microscopy pictures (2018 Data Science Bowl, CC0; mostly "
        f"fluorescence, none seen in training): Dice mean {np.mean(overlaps):.2f}, median "
        f"{np.median(overlaps):.2f}; reported as found in {found}; median relative error of the "
        f"count {np.median(errors):.2f}."
    )


def _real_nuclei(folder: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    for line in (folder / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "nuclei" in entry["labels"] and entry["masks"]:
            pixels = np.asarray(PIL.Image.open(folder / entry["image"]).convert("RGB"))
            yield pixels, np.asarray(PIL.Image.open(folder / entry["masks"][0])).astype(np.int64)


_TEXT = """# Bundled segmenter

**Not fit for clinical use.** Trained on synthetic phantoms alone. It proves the path from picture
to evidence; on a patient's images its masks and its "not found" mean nothing.

| | |
|---|---|
| Version | {version} |
| File | `segmenter.safetensors`, {size:.1f} MB, float16, SHA-256 `{digest}` |
| Input | Any picture, fitted into {side} x {side}; a target's name, clicks, a box, a scribble, a mask |
| Output | A mask, and whether the target is there, as a calibrated probability |
| Network | `tools/segmenter_net.py`: U-Net encoder once per picture, light FiLM head per target |
| Data | Phantoms of the training split (`overread.imaging.phantoms`), strong augmentation |
| Recipe | `python -m overread.training.segmenter`, one core, about half an hour |
| Licence | Apache-2.0; the phantoms are CC0 |

The confidence is calibrated per target on validation phantoms with present and absent weighted
equally. It knows nothing of real pictures.

## Figures on {phantoms} test phantoms

Patients of the test split. "Held out" is the scanner of each domain that no training phantom used.
Dice with the number of masks; a target that is there but reported absent counts 0. Presence is
balanced accuracy within the domains where the target belongs ("-": always there). One click:
Dice of the largest object from one click, without its name, all scanners.

| target | Dice | Dice, held out | presence | presence, held out | one click |
|---|---|---|---|---|---|
{table}

## By clicks alone

{clicks} The clicks look at the truth, not at the answer; the name is not given. Beside a random walker
and GrabCut on the same clicks, on phantoms and real pictures:
[docs/segmenter.md](../../docs/segmenter.md).

## Figures on real pictures

{real}

No other target has been held against real pictures with masks.
"""
