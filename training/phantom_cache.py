"""Phantoms on disk as the planner's training reads them: views, patch truth, labels.

Plain arrays in a cache folder, never in the repository. Views are what the planner sees
(224 pixels, 8 bit); patch truth is the share of each patch that a structure covers.
"""

import itertools
import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from rich.progress import track

from overread.agent.architecture import IMAGE_SIZE, PATCH
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import DOMAINS, Phantom, generate, split_of
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Split
from overread.imaging.render import for_planner, to_view
from overread.imaging.study import Image
from overread.imaging.vocabulary import FINDINGS, TARGETS

GRID = IMAGE_SIZE // PATCH


@dataclass(frozen=True, slots=True)
class Cache:
    """A cached split of n phantoms.

    Attributes:
        views: uint8, (n, 224, 224, 3). patches: uint8, (n, 14, 14, targets), 255 is all covered.
        domains: int64, (n,), position in `DOMAINS`. findings: float32, (n, findings), 0 or 1.
        cases: (domain, patient, visit) of each, as `generate` takes them.
    """

    views: NDArray[np.uint8]
    patches: NDArray[np.uint8]
    domains: NDArray[np.int64]
    findings: NDArray[np.float32]
    cases: list[tuple[str, int, int]]


def session_image(phantom: Phantom, as_png: bool) -> Image:
    """Return the phantom as intake would see its file: DICOM with facts, or a bare picture."""
    image = phantom_image(phantom)
    if not as_png:
        return image
    return Image(ref=image.ref, pixels=to_view(image), modality="OT")


def cases_of(split: Split, number: int, visits: int = 1) -> list[tuple[str, int, int]]:
    """Return cases of a split, domains in turn, patients counted up from 0."""
    turns = zip(*(_cases(domain, split, visits) for domain in DOMAINS), strict=True)
    return list(itertools.islice(itertools.chain.from_iterable(turns), number))


def _cases(domain: str, split: Split, visits: int) -> Iterator[tuple[str, int, int]]:
    for patient in itertools.count():
        if split_of(Case(domain, patient, 0, 0).patient_id) == split:
            yield from ((domain, patient, visit) for visit in range(visits))


def load_cache(folder: Path, split: Split, number: int) -> Cache:
    """Return a cached split, generating it on all cores the first time."""
    target = folder / f"{split}-{number}"
    if not (target / "cases.json").is_file():
        _build(target, cases_of(split, number))
    cases = [tuple(case) for case in json.loads((target / "cases.json").read_text())]
    arrays = {
        name: np.load(target / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("views", "patches", "domains", "findings")
    }
    return Cache(cases=cases, **arrays)


def _build(target: Path, cases: list[tuple[str, int, int]]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    n = len(cases)
    views = _array(target / "views.npy", np.uint8, (n, IMAGE_SIZE, IMAGE_SIZE, 3))
    patches = _array(target / "patches.npy", np.uint8, (n, GRID, GRID, len(TARGETS)))
    domains = _array(target / "domains.npy", np.int64, (n,))
    findings = _array(target / "findings.npy", np.float32, (n, len(FINDINGS)))
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        rows = pool.imap(_row, cases, chunksize=16)
        for i, row in enumerate(track(rows, f"phantoms for {target.name}", total=n)):
            views[i], patches[i], domains[i], findings[i] = row
    for array in (views, patches, domains, findings):
        array.flush()
    (target / "cases.json").write_text(json.dumps(cases))


def _array(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _row(case: tuple[str, int, int]) -> tuple[NDArray, NDArray, int, NDArray]:
    phantom = generate(*case)
    view = np.asarray(for_planner(phantom_image(phantom), IMAGE_SIZE))
    patches = np.zeros((GRID, GRID, len(TARGETS)), np.uint8)
    for name, mask in phantom.masks.items():
        share = PILImage.fromarray(mask.astype(np.uint8) * 255).resize(
            (GRID, GRID), PILImage.Resampling.BOX
        )
        patches[:, :, TARGETS.index(name)] = np.asarray(share)
    present = {finding.name for finding in phantom.findings}
    labels = np.array([name in present for name in FINDINGS], np.float32)
    return view, patches, list(DOMAINS).index(phantom.domain), labels
