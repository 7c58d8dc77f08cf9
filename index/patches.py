"""Where in a picture its vector comes from: the features of its patches in the shared space.

Patches of a tower that averages are exact: the mean of their vectors is the picture's own. A vision
transformer mixes its patches before it pools them, so there they are the usual approximation: each
patch goes through the last projection as if it were the pooled one.

Source: Stylianou, Souvenir, Pless, Visualizing deep similarity networks, WACV (2019), for averages;
Zhou, Loy, Dai, Extract free dense labels from CLIP, ECCV (2022), for attention.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from PIL import Image as PILImage
from torch import Tensor
from torch.nn import functional as F

from overread.imaging.errors import ConfigError
from overread.index.embedder import Vectors


@runtime_checkable
class PatchEmbedder(Protocol):
    """What an embedder can do that also tells where."""

    def embed_patches(self, image: PILImage.Image) -> Vectors:
        """Return vectors of the patches of a square picture, float32 (rows, columns, dim).

        Raises:
            ConfigError: The tower is of a kind whose patches are not known.
        """
        ...


def of_open_clip(visual: Any, pixels: Tensor) -> Tensor:
    """Return the patches of an open_clip image tower, (rows, columns, dim).

    Args:
        visual: The tower.
        pixels: Of one picture, (1, 3, side, side).

    Raises:
        ConfigError: The tower is of another kind.
    """
    if isinstance(visual, TimmModel):
        features = visual.trunk.forward_features(pixels)
        if features.ndim == 4:  # (1, channels, rows, columns), averaged by the trunk
            return _averaged(visual.head(features[0].permute(1, 2, 0)))
        tokens = features[:, getattr(visual.trunk, "num_prefix_tokens", 0) :]
        normed = getattr(visual.trunk, "fc_norm", torch.nn.Identity())(tokens)
        return _grid(visual.head(normed)[0])
    if isinstance(visual, VisionTransformer):
        tokens = visual.forward_intermediates(pixels, indices=1, normalize_intermediates=True)
        features = tokens["image_intermediates"][-1][0].permute(1, 2, 0)
        return F.normalize(features if visual.proj is None else features @ visual.proj, dim=-1)
    if hasattr(visual, "attnpool"):  # the ResNet of CLIP
        features = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(pixels)))))
        pool = visual.attnpool
        return F.normalize(pool.c_proj(pool.v_proj(features[0].permute(1, 2, 0))), dim=-1)
    raise ConfigError(f"the patches of an image tower {type(visual).__name__} are not known")


def of_transformers(model: Any, outputs: Any) -> Tensor:
    """Return the patches of a CLIP or SigLIP model of transformers, (rows, columns, dim).

    Args:
        model: The model.
        outputs: Of its `get_image_features` for one picture.

    Raises:
        ConfigError: The model is of another kind.
    """
    tokens = outputs.last_hidden_state[0]
    vision = getattr(model.vision_model, "vision_model", model.vision_model)
    if hasattr(model, "visual_projection"):  # CLIP and its kin, whose first token is the pooled one
        normed = getattr(vision, "post_layernorm", torch.nn.Identity())(tokens[1:])
        return _grid(model.visual_projection(normed))
    if hasattr(vision, "head"):  # SigLIP pools by attention: over one token it is that token's
        return _grid(vision.head(tokens[:, None]))
    raise ConfigError(f"the patches of a model {type(model).__name__} are not known")


def _averaged(patches: Tensor) -> Tensor:
    """Scale patches so that their mean has length one."""
    return patches / patches.mean((0, 1)).norm()


def _grid(patches: Tensor) -> Tensor:
    """Arrange tokens, (number, dim), in their square, each of length one."""
    side = round(len(patches) ** 0.5)
    if side * side != len(patches):
        raise ConfigError(f"the {len(patches)} patches of the image tower are no square")
    return F.normalize(patches, dim=-1).reshape(side, side, -1)
