"""Change how a phantom looks: its place and size, its tone, its kind of microscopy."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

# Domains whose pictures have no up and no side, so that they may be flipped and turned.
_FREE = frozenset({"histology", "fundus", "ultrasound"})
# Side of the pictures for which the strength of blurring is meant.
_NATIVE = 256


def moved(
    view: NDArray[np.uint8],
    masks: dict[int, NDArray[np.bool_]],
    domain: str,
    side: int,
    rng: np.random.Generator,
) -> tuple[Tensor, dict[int, NDArray[np.bool_]]]:
    """Turn, scale, stretch, shift and, where allowed, flip a picture with its masks."""
    free = domain in _FREE
    angle = np.deg2rad(rng.uniform(-180, 180) if domain == "histology" else rng.normal(0, 7))
    low, high = (0.35, 1.6) if domain == "histology" else (0.75, 1.25)
    zoom = np.exp(rng.uniform(np.log(low), np.log(high)))
    stretch = np.exp(rng.normal(0, 0.08))
    across = np.array([[zoom * stretch, 0], [0, zoom / stretch]])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if free and rng.random() < 0.5:
        across[0, 0] *= -1
    matrix = np.concatenate([turn @ across, rng.uniform(-0.12, 0.12, (2, 1))], axis=1)
    grid = F.affine_grid(
        torch.from_numpy(matrix[None]).float(), [1, 1, side, side], align_corners=False
    )
    names = list(masks)
    planes = torch.from_numpy(
        np.concatenate([view.transpose(2, 0, 1)] + [masks[n][None] * np.uint8(255) for n in names])
    )
    if side < view.shape[0]:
        planes = F.interpolate(planes[None].float(), size=(side, side), mode="area")[0]
    # Histology goes on beyond the picture; the others end in the black of a letterbox.
    edge = "reflection" if domain == "histology" else "zeros"
    moved = F.grid_sample(planes[None].float() / 255, grid, padding_mode=edge, align_corners=False)
    kept = {name: (moved[0, 3 + i] > 0.5).numpy() for i, name in enumerate(names)}
    return moved[0, :3], {name: mask for name, mask in kept.items() if mask.sum() > 3}


def fluorescent(view: Tensor, nuclei: NDArray[np.bool_] | None, rng: np.random.Generator) -> Tensor:
    """Show nuclei as fluorescence does: they alone shine, on near black.

    Args:
        view: (3, side, side), 0..1, stained.
        nuclei: (side, side); None if there are none.
        rng: For brightness, blur, and how nuclei differ from each other.
    """
    side = view.shape[1]
    labels, found = ndimage.label(np.zeros((side, side)) if nuclei is None else nuclei)
    shine = np.r_[0.0, rng.uniform(0.35, 1.0, found)][labels]
    texture = (1 - view.mean(0)).numpy()
    light = ndimage.gaussian_filter(shine * (0.6 + 0.6 * texture), rng.uniform(0.5, 1.5))
    haze = ndimage.gaussian_filter(light, side / 16) * rng.uniform(0, 0.5)
    grey = rng.uniform(0.15, 1.0) * (light + haze) + rng.uniform(0, 0.12)
    tint = rng.uniform(0, 1, 3) if rng.random() < 0.2 else np.ones(3)
    planes = grey[None] * (tint / tint.max())[:, None, None]
    return torch.from_numpy(planes).float().clamp(0, 1)


def recoloured(view: Tensor, domain: str, rng: np.random.Generator) -> Tensor:
    """Change tone, colour, sharpness, shading and noise; the geometry stays."""
    colour = domain in ("histology", "fundus")
    if colour and rng.random() < (0.4 if domain == "histology" else 0.1):
        weights = torch.from_numpy(rng.dirichlet((2, 2, 2))).float()
        view = (view * weights[:, None, None]).sum(0, keepdim=True).expand(3, -1, -1)
    if rng.random() < (0.15 if domain == "histology" else 0.04):
        view = 1 - view  # films may be shown negative
    gamma, gain = np.exp(rng.normal(0, 0.3)), np.exp(rng.normal(0, 0.2))
    view = view.clamp(1e-4, 1) ** gamma
    view = (view - 0.5) * gain + 0.5 + rng.normal(0, 0.08)
    if colour:
        view = view * torch.from_numpy(np.exp(rng.normal(0, 0.1, (3, 1, 1)))).float()
    if rng.random() < 0.35:
        field = torch.from_numpy(rng.normal(0, 0.25, (1, 1, 3, 3))).float()
        view = view * (1 + F.interpolate(field, size=view.shape[1:], mode="bicubic")[0])
    if rng.random() < 0.35:
        sigma = float(rng.uniform(0.4, 1.4)) * view.shape[1] / _NATIVE
        view = torch.from_numpy(ndimage.gaussian_filter(view.numpy(), (0, sigma, sigma)))
    if rng.random() < 0.5:
        grain = rng.normal(0, rng.uniform(0.01, 0.07), (1, *view.shape[1:]))
        view = view + torch.from_numpy(grain).float()
    return view.clamp(0, 1)
