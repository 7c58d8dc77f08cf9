"""What the segmenter learns from: cached phantoms, augmented, with simulated prompts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from overread.imaging.files import open_whole
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import sample
from overread.imaging.phantoms.truth import Split
from overread.imaging.render import to_view
from overread.imaging.vocabulary import DOMAINS, TARGETS
from overread.tools.segmenter_net import PROMPT_CHANNELS
from overread.training.segmenter_augment import fluorescent, moved, recoloured
from overread.training.segmenter_prompts import draw_prompts

NAMELESS = len(TARGETS)
_NUCLEI = TARGETS.index("nuclei")
_FINDING_WEIGHT = 3.0
# Part of the histology phantoms that is shown as fluorescence microscopy would.
_FLUORESCENT = 0.4
# Names that a domain does not label but whose absence from the truth says nothing.
_UNSURE: dict[str, frozenset[str]] = {
    "chest-xray": frozenset({"body", "mass", "lesion"}),
    "chest-ct": frozenset({"thorax", "mass", "lesion"}),
    "abdomen-ct": frozenset({"thorax", "mass", "lesion", "nodule"}),
    "brain-mr": frozenset({"mass", "nodule", "cyst"}),
    "ultrasound": frozenset({"lesion", "nodule"}),
}


@dataclass(frozen=True, slots=True)
class Pool:
    """Phantoms of one split.

    Attributes:
        views: uint8 (n, rows, columns, 3).
        domains, scanners: Names, (n,).
        owner: (m,): the phantom of each mask.
        target: (m,): index in TARGETS of each mask; NAMELESS for one that has no name there.
        packed: uint8 (m, rows * columns / 8): the masks, eight pixels a byte.
    """

    views: NDArray[np.uint8]
    domains: NDArray[np.str_]
    scanners: NDArray[np.str_]
    owner: NDArray[np.int64]
    target: NDArray[np.int64]
    packed: NDArray[np.uint8]

    def masks(self, phantom: int) -> dict[int, NDArray[np.bool_]]:
        """Return the masks of a phantom by target index, each (rows, columns)."""
        rows = np.flatnonzero(self.owner == phantom)
        return {
            int(self.target[row]): np.unpackbits(self.packed[row]).reshape(self.views.shape[1:3])
            > 0
            for row in rows
        }

    def chances(self) -> NDArray[np.float64]:
        """Return how often to draw each phantom: those with a finding more often than the others."""
        names = [DOMAINS[str(self.domains[i])][1] for i in self.owner]
        is_finding = [
            t < NAMELESS and TARGETS[t] in known
            for t, known in zip(self.target, names, strict=True)
        ]
        weights = np.ones(len(self.views))
        weights[np.unique(self.owner[is_finding])] = _FINDING_WEIGHT
        return weights / weights.sum()


def may_be_absent(domain: str, target: str) -> bool:
    """Return whether a target without a mask in a domain's phantom is truly not there."""
    return target not in DOMAINS[domain][0] and target not in _UNSURE.get(domain, frozenset())


def load_pool(split: Split, number: int, seed: int, cache: Path) -> Pool:
    """Return phantoms of a split, drawn once and then read from the cache folder."""
    path = cache / f"segmenter-{split}-{number}-{seed}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _write(path, _draw(split, number, seed))
    with np.load(path, allow_pickle=False) as file:
        return Pool(**{name: file[name] for name in Pool.__slots__})


def _draw(split: Split, number: int, seed: int) -> Pool:
    views, domains, scanners, owner, target, packed = [], [], [], [], [], []
    for index, phantom in enumerate(sample(split, number, seed)):
        views.append(to_view(phantom_image(phantom)))
        domains.append(phantom.domain)
        scanners.append(phantom.scanner)
        for name, mask in phantom.masks.items():
            owner.append(index)
            target.append(TARGETS.index(name))
            packed.append(np.packbits(mask))
    return Pool(
        np.stack(views),
        np.array(domains),
        np.array(scanners),
        np.array(owner),
        np.array(target),
        np.stack(packed),
    )


def _write(path: Path, pool: Pool) -> None:
    with open_whole(path) as file:
        np.savez(file, **{name: getattr(pool, name) for name in Pool.__slots__})


@dataclass(frozen=True, slots=True)
class Batch:
    """Queries about some pictures.

    Attributes:
        view: (images, 3, side, side), 0..1.
        owner, target: (n,) int64.
        prompts: (n, channels, side / 2, side / 2).
        truth: (n, side, side), 0 or 1.
        present: (n,): 1 if the target is there.
        named: (n,): 1 if the query names its target without a prompt, so presence is asked.
        dense: (images, targets, side / 2, side / 2), 0..1: how much of each pixel a target covers.
        known: (images, targets): 1 where the dense truth holds.
    """

    view: Tensor
    owner: Tensor
    target: Tensor
    prompts: Tensor
    truth: Tensor
    present: Tensor
    named: Tensor
    dense: Tensor
    known: Tensor


def augmented(
    pool: Pool, index: int, side: int, rng: np.random.Generator
) -> tuple[Tensor, dict[int, NDArray[np.bool_]]]:
    """Return a phantom as it is learnt from, moved and recoloured, (3, side, side), with its masks."""
    domain = str(pool.domains[index])
    view, masks = moved(pool.views[index], pool.masks(index), domain, side, rng)
    if domain == "histology" and rng.random() < _FLUORESCENT:
        view = fluorescent(view, masks.get(_NUCLEI), rng)
    return recoloured(view, domain, rng), masks


def make_batch(
    pool: Pool, chosen: NDArray[np.int64], rng: np.random.Generator, side: int, queries: int
) -> Batch:
    """Draw an augmented batch.

    Args:
        pool: Where from.
        chosen: Indices of its phantoms.
        rng: The only source of randomness.
        side: Pixels of the square to train at.
        queries: About each picture.
    """
    views, owner, target, prompts, truth, present, named = [], [], [], [], [], [], []
    dense = torch.zeros(len(chosen), len(TARGETS), side // 2, side // 2)
    known = torch.zeros(len(chosen), len(TARGETS))
    for position, index in enumerate(chosen):
        domain = str(pool.domains[index])
        view, masks = augmented(pool, int(index), side, rng)
        views.append(view)
        for name, mask in masks.items():
            dense[position, name] = F.avg_pool2d(torch.from_numpy(mask)[None].float(), 2)[0]
        for name in range(len(TARGETS)):
            known[position, name] = name in masks or may_be_absent(domain, TARGETS[name])
        for name, mask, planes in _queries(domain, masks, side, queries, rng):
            owner.append(position)
            target.append(name)
            prompts.append(planes)
            truth.append(mask)
            present.append(float(mask.any()))
            named.append(float(name != NAMELESS and not planes.any()))
    planes_of_all = torch.from_numpy(np.stack(prompts))
    return Batch(
        torch.stack(views),
        torch.tensor(owner),
        torch.tensor(target),
        planes_of_all,
        torch.from_numpy(np.stack(truth)).float(),
        torch.tensor(present),
        torch.tensor(named),
        dense,
        known,
    )


def _queries(
    domain: str,
    masks: dict[int, NDArray[np.bool_]],
    side: int,
    number: int,
    rng: np.random.Generator,
) -> list[tuple[int, NDArray[np.bool_], NDArray[np.float32]]]:
    """Choose what to ask: what is there, what could be but is not, what belongs elsewhere."""
    blank = np.zeros((side, side), bool)
    nothing = np.zeros((len(PROMPT_CHANNELS), side // 2, side // 2), np.float32)
    there = list(rng.permutation(list(masks)))
    findings = [name for name in there if TARGETS[name] in DOMAINS[domain][1]]
    there = findings + [name for name in there if name not in findings]
    asked: list[tuple[int, NDArray[np.bool_], NDArray[np.float32]]] = []
    for name in there[: number // 2]:
        asked.append((int(name), masks[name], nothing))
    for name in [*there[:1], *rng.permutation(there)][: max(1, number // 3)]:
        asked.append(_prompted(int(name), masks[name], rng))
    free = [i for i, name in enumerate(TARGETS) if i not in masks and may_be_absent(domain, name)]
    own = [i for i in free if TARGETS[i] in DOMAINS[domain][1]]
    absent = [*rng.permutation(own), *rng.permutation([i for i in free if i not in own])]
    for name in absent[: max(0, number - len(asked))]:
        asked.append((int(name), blank, nothing))
    return asked[:number]


def _prompted(
    name: int, mask: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[int, NDArray[np.bool_], NDArray[np.float32]]:
    """Point at a target, by name too in one case of three; without a name, at one object of it."""
    if rng.random() < 0.35:
        return name, mask, draw_prompts(mask, rng)
    labels, found = ndimage.label(mask)
    place = rng.choice(np.flatnonzero(mask)) if found else 0
    own = labels == labels.ravel()[place] if found else mask
    return NAMELESS, own, draw_prompts(own, rng)
