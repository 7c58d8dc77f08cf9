"""Pretrain the bundled planner's vision tower on phantoms.

    python -m overread.training.planner_vision --out runs/vision --phantoms 9000 --minutes 25

The tower learns, from each patch, which structures and findings cover it, and from the whole
picture its domain and findings. Only the tower is kept. Checkpoints every five minutes; the same
command resumes.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import SmolVLMVisionConfig
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionTransformer

from overread.agent.architecture import VISION
from overread.imaging.files import ORDINARY, open_whole
from overread.imaging.vocabulary import DOMAINS, FINDINGS, TARGETS
from overread.training import manifest
from overread.training.mixed_precision import mixed_precision
from overread.training.phantom_cache import Cache, load_cache

BATCH = 32
CHECKPOINT_S = 300.0


class VisionTeacher(nn.Module):
    """The tower with the heads that teach it."""

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__()
        width = VISION["hidden_size"]
        self.tower = SmolVLMVisionTransformer(SmolVLMVisionConfig(**VISION))
        self.patch = nn.Linear(width, len(TARGETS))
        self.domain = nn.Linear(2 * width, len(DOMAINS))
        self.finding = nn.Linear(2 * width, len(FINDINGS))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map (n, 3, 224, 224) in -1..1 to logits of patches, domain and findings."""
        states = self.tower(pixels).last_hidden_state
        pooled = torch.cat([states.mean(1), states.amax(1)], dim=-1)
        return self.patch(states), self.domain(pooled), self.finding(pooled)


def batch_of(
    cache: Cache, rows: np.ndarray, rng: np.random.Generator | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return pixels, patch cover (n, 196, targets), domain and findings; augmented if `rng`."""
    pixels = torch.from_numpy(cache.views[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    patches = torch.from_numpy(cache.patches[rows]).float() / 255.0
    if rng is not None:
        pixels = _jitter(pixels, rng)
        down, right = rng.integers(-1, 2, 2)
        pixels = torch.roll(pixels, (int(down) * 16, int(right) * 16), (2, 3))
        patches = torch.roll(patches, (int(down), int(right)), (1, 2))
    return (
        pixels,
        patches.flatten(1, 2),
        torch.from_numpy(cache.domains[rows]),
        torch.from_numpy(cache.findings[rows]),
    )


def _jitter(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    n = len(pixels)
    unit = (pixels + 1.0).clamp(0, 2) / 2

    def draw(low: float, high: float) -> torch.Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, 1, 1, 1))).float()

    unit = unit.pow(draw(0.75, 1.35)) * draw(0.8, 1.15) + draw(-0.05, 0.05)
    noise = torch.from_numpy(rng.standard_normal(pixels.shape, dtype=np.float32))
    return ((unit + noise * draw(0.0, 0.04)).clamp(0, 1)) * 2 - 1


def loss_of(model: VisionTeacher, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the sum of the three losses."""
    pixels, patches, domains, findings = batch
    with mixed_precision():
        patch, domain, finding = model(pixels)
    cover = nn.functional.binary_cross_entropy_with_logits(
        patch.float(), patches, pos_weight=torch.tensor(3.0)
    )
    return (
        10 * cover
        + nn.functional.cross_entropy(domain.float(), domains)
        + nn.functional.binary_cross_entropy_with_logits(finding.float(), findings) * 3
    )


@torch.no_grad()
def evaluate(model: VisionTeacher, cache: Cache) -> dict[str, float]:
    """Return domain accuracy, balanced accuracy of findings, and mean patch IoU."""
    model.eval()
    outputs = []
    for start in range(0, len(cache.cases), 64):
        rows = np.arange(start, min(start + 64, len(cache.cases)))
        pixels, *truth = batch_of(cache, rows, None)
        with mixed_precision():
            outputs.append((*(x.float() for x in model(pixels)), *truth))
    patch, domain, finding, cover, domains, findings = (
        torch.cat(column) for column in zip(*outputs, strict=True)
    )
    model.train()
    said, true = patch > 0, cover > 0.5
    iou = (said & true).sum((0, 1)) / (said | true).sum((0, 1)).clamp(min=1)
    yes, no = findings > 0.5, findings < 0.5
    sensitivity = ((finding > 0) & yes).sum() / yes.sum()
    specificity = ((finding <= 0) & no).sum() / no.sum()
    return {
        "domain_accuracy": float((domain.argmax(-1) == domains).float().mean()),
        "finding_balanced_accuracy": float((sensitivity + specificity) / 2),
        "patch_iou": float(iou.mean()),
    }


def train(out: Path, cache_dir: Path, phantoms: int, minutes: float, threads: int) -> None:
    """Train for a number of minutes; resume from the last checkpoint in `out`."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    out.mkdir(parents=True, exist_ok=True)
    cache = load_cache(cache_dir, "train", phantoms)
    held_out = load_cache(cache_dir, "validation", 350)
    cases = (*cache.cases, *held_out.cases)
    manifest.write(out, manifest.lines_of((domain, patient) for domain, patient, _ in cases))
    model = VisionTeacher()
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-4, weight_decay=0.05)
    spent, step = 0.0, 0
    checkpoint = out / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        spent, step = state["spent"], state["step"]
    rng = np.random.default_rng(step)
    started, saved = time.monotonic() - spent, time.monotonic()
    while (spent := time.monotonic() - started) < minutes * 60:
        progress = spent / (minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = 8e-4 * min(1.0, (step + 1) / 100) * max(0.02, 1 - progress)
        rows = np.sort(rng.choice(len(cache.cases), BATCH, replace=False))
        loss = loss_of(model, batch_of(cache, rows, rng))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 50 == 0:
            _log(
                out, {"step": step, "seconds": round(spent), "loss": round(float(loss.detach()), 4)}
            )
        if time.monotonic() - saved > CHECKPOINT_S:
            saved = time.monotonic()
            _save(checkpoint, model, optimizer, spent, step)
            _log(out, {"step": step, **evaluate(model, held_out)})
    _save(checkpoint, model, optimizer, spent, step)
    _log(out, {"step": step, **evaluate(model, held_out)})
    tower = {name: tensor.to(torch.bfloat16) for name, tensor in model.tower.state_dict().items()}
    save_file(tower, out / "vision.safetensors")


def _save(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, spent: float, step: int
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "spent": spent,
        "step": step,
    }
    with open_whole(path, mode=ORDINARY) as file:
        torch.save(state, file)


def _log(out: Path, row: dict[str, float]) -> None:
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(row) + "\n")
    sys.stderr.write(f"{row}\n")


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/vision"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--phantoms", type=int, default=9000)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    train(args.out, args.cache, args.phantoms, args.minutes, args.threads)


if __name__ == "__main__":
    main()
