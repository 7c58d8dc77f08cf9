"""Train the head that tells domains from the bundled embedder's vectors; write weights and card.

    python -m overread.training.domain_head
    python -m overread.training.domain_head --real ../data   # figures on real images as well

Multinomial logistic regression over the domains and "unknown". Its temperature and the thresholds
under which it says "unknown" are fitted on patients and pictures of the validation split.
"""

import argparse
import json
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save as serialised
from scipy.cluster.vq import kmeans2
from torch.nn import functional as F

from overread.imaging.files import ORDINARY, open_whole, write_whole
from overread.imaging.vocabulary import DOMAINS
from overread.index.domain_head import BUNDLED_HEAD, UNKNOWN, DomainHead, load_head
from overread.index.embedder import Vectors, load_embedder, unit
from overread.training import manifest
from overread.training.domain_head_card import write_card
from overread.training.domain_head_data import Taught, others, packaged, phantoms

NAMES = (*DOMAINS, UNKNOWN)
PROTOTYPES = 12
"""Of each class, by k-means."""

DECAY, ROUNDS = 3e-4, 200
OUT_OF_REACH, NAMED_WRONGLY = 0.95, 0.01
"""Shares that the thresholds aim at, of what is no medical image, on the validation split: out of a
class's reach whatever its probability; named after both thresholds."""


@dataclass(frozen=True, slots=True)
class Options:
    """What can be set; the help texts are those of the command line."""

    out: Path = field(default=BUNDLED_HEAD, metadata={"help": "where weights and card go"})
    real: Path | None = field(
        default=None, metadata={"help": "pack of real images with a manifest, for the card"}
    )
    phantoms: int = field(default=560, metadata={"help": "training phantoms"})
    validation: int = field(default=280, metadata={"help": "validation phantoms"})
    held_out: int = field(default=350, metadata={"help": "test phantoms"})
    textures: int = field(default=240, metadata={"help": "of noise, stripes, boxes"})
    seed: int = field(default=1, metadata={"help": "of everything random"})


def fit(taught: Taught) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight (n, dim) and bias (n,) of a regression in which each class weighs the same."""
    x = torch.from_numpy(taught.vectors)
    y = torch.tensor([NAMES.index(domain) for domain in taught.domains])
    share = 1.0 / torch.bincount(y, minlength=len(NAMES)).clamp(min=1)
    weight = torch.zeros(len(NAMES), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(NAMES), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(x @ weight.T + bias, y, share) + DECAY * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def temperature(weight: torch.Tensor, bias: torch.Tensor, seen: Taught) -> float:
    """Return the factor on the logits that makes probabilities of other patients honest.

    Source: Guo et al., ICML 2017 (temperature scaling), as a factor rather than a divisor.
    """
    logits = torch.from_numpy(seen.vectors) @ weight.T + bias
    y = torch.tensor([NAMES.index(domain) for domain in seen.domains])
    factors = np.geomspace(0.05, 20, 241)
    losses = [float(F.cross_entropy(factor * logits, y)) for factor in factors]
    return float(factors[int(np.argmin(losses))])


def prototypes(taught: Taught, seed: int) -> tuple[Vectors, np.ndarray]:
    """Return unit vectors that stand for each class but "unknown", and whose each is."""
    found, owners = [], []
    for number, name in enumerate(NAMES[:-1]):
        own = taught.vectors[np.array(taught.domains) == name]
        centres, _ = kmeans2(own, min(PROTOTYPES, len(own)), minit="++", seed=seed)
        kept = centres[np.linalg.norm(centres, axis=1) > 0]
        found.append(unit(kept))
        owners += [number] * len(kept)
    return np.concatenate(found), np.array(owners, dtype=np.int64)


def reaches(seen: Taught, centres: Vectors, owners: np.ndarray) -> np.ndarray:
    """Return for each class the likeness to its prototypes that few other pictures have, (n,)."""
    strange = seen.vectors[np.array(seen.domains) == UNKNOWN]
    found = np.full(len(NAMES), -1.0, dtype=np.float32)
    for number in range(len(NAMES) - 1):
        likeness = (strange @ centres[owners == number].T).max(axis=1)
        found[number] = np.quantile(likeness, OUT_OF_REACH)
    return found


def threshold(head: DomainHead, seen: Taught) -> float:
    """Return the probability under which so much is called "unknown" that few others get a name."""
    strange = seen.vectors[np.array(seen.domains) == UNKNOWN]
    probabilities = head.probabilities(strange)
    for sure in np.arange(0.5, 0.995, 0.01):
        named = [domain != UNKNOWN for domain in head.decide(strange, probabilities, float(sure))]
        if np.mean(named) <= NAMED_WRONGLY:
            return float(sure)
    return 0.99


def main(options: Options) -> None:
    """Embed, fit, calibrate, save, measure."""
    embedder = load_embedder("bundled")
    seed = options.seed
    real = packaged(embedder, seed)
    taught = phantoms(embedder, "train", options.phantoms, seed, views=2) + real
    taught += others(embedder, held_out=False, textures=options.textures, seed=seed)
    seen = phantoms(embedder, "validation", options.validation, seed)
    seen += others(embedder, held_out=True, textures=options.textures, seed=seed)
    save(options.out, embedder.name, taught, seen, seed)
    patients = [
        *manifest.sampled("train", options.phantoms, seed),
        *manifest.sampled("validation", options.validation, seed),
    ]
    manifest.write(options.out, manifest.lines_of(patients))
    write_card(
        load_head(options.out),
        embedder,
        phantoms(embedder, "test", options.held_out, seed),
        {"taught": taught, "validation": seen},
        options.out,
        options.real,
    )


def save(folder: Path, embedder: str, taught: Taught, seen: Taught, seed: int) -> None:
    """Fit everything and write `head.json` and `head.safetensors`."""
    weight, bias = fit(taught)
    factor = temperature(weight, bias, seen)
    centres, owners = prototypes(taught, seed)
    arrays: dict[str, np.ndarray] = {
        "weight": (factor * weight).numpy().astype(np.float32),
        "bias": (factor * bias).numpy().astype(np.float32),
        "prototypes": centres.astype(np.float16),
        "owners": owners,
        "reach": reaches(seen, centres, owners),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with open_whole(folder / "head.safetensors", mode=ORDINARY) as file:
        file.write(serialised(arrays))
    facts = {"embedder": embedder, "names": NAMES, "sure": 0.5, "temperature": 1 / factor}
    write_whole(folder / "head.json", json.dumps(facts, indent=1) + "\n", mode=ORDINARY)
    facts["sure"] = round(threshold(load_head(folder), seen), 2)
    write_whole(folder / "head.json", json.dumps(facts, indent=1) + "\n", mode=ORDINARY)


def _parse() -> Options:
    parser = argparse.ArgumentParser(prog="python -m overread.training.domain_head")
    for item in fields(Options):
        kind = Path if item.name in ("out", "real") else int
        help_ = f"{item.metadata['help']} (default: {item.default})"
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=kind, help=help_)
    chosen = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    return Options(**chosen)


if __name__ == "__main__":
    main(_parse())
