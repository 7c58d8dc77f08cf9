"""The bundled segmenter's network: one pass over the image, then a light head per target."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 192
PROMPT_CHANNELS = ("inside", "outside", "box", "scribble", "previous")
LEVELS = (12, 24, 48, 96, 160, 192)
_HEAD = (16, 32, 48)
WORDS = 32


class Block(nn.Sequential):
    """Convolution, group normalisation, SiLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        """Make a 3 x 3 block."""
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.GroupNorm(4, outputs),
            nn.SiLU(),
        )


def plain_block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a block without normalisation: heads run per target, where it would dominate the cost."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU(inplace=True))


class Backbone(nn.Module):
    """A U-Net over the picture alone; the same features serve every target.

    Attributes:
        widths: Channels of the feature maps it returns.

    Source of the shape: Ronneberger et al., U-Net, MICCAI 2015, arXiv:1505.04597.
    """

    def __init__(self) -> None:
        """Build the encoder and the decoder down to half resolution."""
        super().__init__()
        self.widths = LEVELS[:4]
        self.stem = Block(3, LEVELS[0])
        self.down = nn.ModuleList(
            nn.Sequential(Block(a, b, stride=2), Block(b, b)) for a, b in pairwise(LEVELS)
        )
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(LEVELS[1:]))
        self.up = nn.ModuleList(Block(2 * a, a) for a in LEVELS[1:-1])

    def forward(self, view: Tensor) -> list[Tensor]:
        """Return feature maps at full, 1/2, 1/4 and 1/8 resolution.

        Args:
            view: (images, 3, side, side), 0..1.
        """
        maps = [self.stem(view)]
        for stage in self.down:
            maps.append(stage(maps[-1]))
        x = maps[-1]
        for level in reversed(range(1, len(LEVELS) - 1)):
            x = F.interpolate(self.narrow[level - 1](x), scale_factor=2.0)
            x = self.up[level - 1](torch.cat([maps[level], x], dim=1))
            maps[level] = x
        return maps[:4]


class Film(nn.Module):
    """Scale and shift channels by a target's embedding.

    Source: Perez et al., FiLM, AAAI 2018, arXiv:1709.07871.
    """

    def __init__(self, channels: int) -> None:
        """Start as the identity."""
        super().__init__()
        self.to_scale_shift = nn.Linear(WORDS, 2 * channels)
        nn.init.normal_(self.to_scale_shift.weight, std=0.1)
        nn.init.zeros_(self.to_scale_shift.bias)

    def forward(self, x: Tensor, word: Tensor) -> Tensor:
        """Condition `x` (n, channels, h, w) on `word` (n, embedding)."""
        scale, shift = self.to_scale_shift(word)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


class Head(nn.Module):
    """A small U-Net that reads the features for one target and its prompts."""

    def __init__(self) -> None:
        """Build the three scales, the mask output and the presence output."""
        super().__init__()
        a, b, c = _HEAD
        self.read = nn.ModuleList(
            nn.Conv2d(wide, own, 1) for wide, own in zip(LEVELS[1:4], _HEAD, strict=True)
        )
        self.film = nn.ModuleList(Film(width) for width in _HEAD)
        self.prompt = nn.Conv2d(len(PROMPT_CHANNELS), a, 3, padding=1)
        self.enter = plain_block(a, a)
        self.down1, self.down2 = plain_block(a, b, 2), plain_block(b, c, 2)
        self.mix1, self.mix2 = plain_block(b, b), plain_block(c, c)
        self.rise2, self.rise1 = nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)
        self.leave2, self.leave1 = plain_block(b, b), plain_block(a, a)
        self.fine = nn.Conv2d(LEVELS[0], 8, 1)
        self.coarse = nn.Conv2d(a, 8, 1)
        self.last = plain_block(8, 8)
        self.mask = nn.Conv2d(8, 1, 1)
        self.presence = nn.Sequential(nn.Linear(2 * c + 2 + WORDS, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(
        self, maps: list[Tensor], owner: Tensor, word: Tensor, prompts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return mask logits (n, side, side) and presence logits (n,).

        Args:
            maps: Of the backbone, for all images.
            owner: (n,): which image each query is about.
            word: (n, embedding) of each query's target.
            prompts: (n, channels, side / 2, side / 2).
        """
        half, quarter, eighth = (
            film(read(x)[owner], word)
            for read, film, x in zip(self.read, self.film, maps[1:4], strict=True)
        )
        x1 = self.enter(F.silu(half + self.prompt(prompts)))
        x2 = self.mix1(self.down1(x1) + quarter)
        x3 = self.mix2(self.down2(x2) + eighth)
        x2 = self.leave2(x2 + F.interpolate(self.rise2(x3), scale_factor=2.0))
        x1 = self.leave1(x1 + F.interpolate(self.rise1(x2), scale_factor=2.0))
        coarse = F.interpolate(self.coarse(x1), scale_factor=2.0)
        logits = self.mask(self.last(coarse + self.fine(maps[0])[owner]))[:, 0].float()
        pixels = F.avg_pool2d(logits[:, None], 2).flatten(1)
        seen = torch.cat(
            [
                x3.mean((2, 3)),
                x3.amax((2, 3)),
                pixels.amax(1, keepdim=True) / 4,
                pixels.sigmoid().mean(1, keepdim=True).clamp_min(1e-6).log() / 4,
                word,
            ],
            dim=1,
        )
        return logits, self.presence(seen)[:, 0].float()


class SegmenterNet(nn.Module):
    """Backbone, target embedding and head."""

    def __init__(self, targets: int) -> None:
        """Make a network for so many named targets and the nameless one, which is the last."""
        super().__init__()
        self.backbone = Backbone()
        self.words = nn.Embedding(targets + 1, WORDS)
        self.head = Head()

    def forward(
        self, view: Tensor, owner: Tensor, target: Tensor, prompts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Answer n queries about some images.

        Args:
            view: (images, 3, side, side), 0..1.
            owner: (n,) int64: the image each query is about.
            target: (n,) int64: index of the target's name.
            prompts: (n, prompt channels, side / 2, side / 2), 0..1.

        Returns:
            Mask logits (n, side, side) and presence logits (n,).
        """
        return self.head(self.backbone(view), owner, self.words(target), prompts)
