"""Train the bundled image-text embedder on phantoms and write its weights and card.

    python -m overread.training.embedder
    python -m overread.training.embedder --real ../data   # figures on real images as well
    python -m overread.training.embedder --out runs/embedder --hardness 0.15 --split validation

The image tower stays frozen: its features are computed once. What learns is its projection and
a small text tower, by contrast between images and what is written about them (InfoNCE).
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CustomTextCLIP, TextTransformer
from open_clip.transform import PreprocessCfg, image_transform_v2
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from overread.index.embedder import BUNDLED
from overread.training import manifest
from overread.training.embedder_card import Facts, write_card
from overread.training.embedder_data import WORDING_WEIGHTS, Case, embed_packaged, embed_phantoms
from overread.training.embedder_model import CONTEXT, build, save

_KINDS: dict[str, type] = {"out": Path, "real": Path, "hardness": float}
_TEMPERATURE, _MAX_SCALE, _NOISE = 0.07, 100.0, 0.05


@dataclass(frozen=True, slots=True)
class Options:
    """What can be set; the help texts are those of the command line."""

    out: Path = field(default=BUNDLED, metadata={"help": "where weights and card go"})
    real: Path | None = field(
        default=None, metadata={"help": "pack of real images with a manifest, for the card"}
    )
    phantoms: int = field(default=3500, metadata={"help": "training phantoms"})
    held_out: int = field(default=700, metadata={"help": "test phantoms"})
    views: int = field(default=2, metadata={"help": "of each training phantom"})
    epochs: int = field(default=20, metadata={"help": "passes over the phantoms"})
    batch: int = field(default=128, metadata={"help": "pairs a step"})
    rate: float = field(default=1e-3, metadata={"help": "peak learning rate"})
    hardness: float | None = field(
        default=None,
        metadata={"help": "of DHN-NCE, such as 0.15; InfoNCE without hard negatives if not given"},
    )
    packaged: bool = field(
        default=False, metadata={"help": "learn from the real images inside packages as well"}
    )
    split: str = field(
        default="test", metadata={"help": "whose phantoms the card measures; choose on validation"}
    )
    seed: int = field(default=1, metadata={"help": "of everything random"})
    threads: int = field(default=1, metadata={"help": "of the processor"})


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, keys: Sequence[str]) -> Tensor:
    """Return InfoNCE in both directions; pairs with the same wording count as right for each other.

    Args:
        images: Unit vectors, (n, dim).
        texts: Unit vectors, (n, dim).
        scale: Factor on the cosines.
        keys: The wording of each pair.

    Source: van den Oord, Li, Vinyals, arXiv 1807.03748; Radford et al., arXiv 2103.00020.
    """
    same = torch.tensor([[one == other for other in keys] for one in keys], dtype=torch.float32)
    target = same / same.sum(1, keepdim=True)
    logits = scale * images @ texts.T
    losses = [-(target * part.log_softmax(1)).sum(1).mean() for part in (logits, logits.T)]
    return (losses[0] + losses[1]) / 2


def hard_negative_loss(
    images: Tensor, texts: Tensor, scale: Tensor, keys: Sequence[str], beta: float
) -> Tensor:
    """Return the decoupled contrastive loss with negatives weighted by how hard they are.

    As `contrastive_loss`, but the right ones are not in the denominator, and a negative counts by
    exp(beta * its logit), normalised to a mean weight of one over the negatives of its row. Pairs
    with the same wording are no negatives of each other. A row without negatives counts 0.

    Args:
        images: Unit vectors, (n, dim).
        texts: Unit vectors, (n, dim).
        scale: Factor on the cosines.
        keys: The wording of each pair.
        beta: Hardness; 0 weighs all negatives alike.

    Source: DHN-NCE of MedCLIP-SAM (Koleilat et al., arXiv 2403.20253), after Yeh et al., Decoupled
    contrastive learning (arXiv 2110.06848) and Robinson et al., Contrastive learning with hard
    negative samples (arXiv 2010.04592). Unlike the published code, what is masked is left out of
    every sum, and the weights are normalised with the same beta that makes them.
    """
    same = torch.tensor([[one == other for other in keys] for one in keys])
    logits = scale * images @ texts.T
    losses = []
    for part in (logits, logits.T):
        right = (part * same).sum(1) / same.sum(1)
        wrong = part.masked_fill(same, -torch.inf)
        count = (~same).sum(1)
        if not (has := count > 0).any():
            losses.append(part.sum() * 0)
            continue
        hardness = (beta * part).masked_fill(same, -torch.inf)[has]
        mean = hardness.logsumexp(1, keepdim=True) - count[has].log()[:, None]
        hard = (wrong[has] + hardness - mean).logsumexp(1)
        losses.append((hard - right[has]).sum() / len(keys))
    return (losses[0] + losses[1]) / 2


def encode_text(text: TextTransformer, ids: Tensor, eos: int) -> Tensor:
    """Return unit vectors (n, dim); as `text.forward`, but without computing the padding."""
    length = ids.shape[1]
    x = text.token_embedding(ids) + text.positional_embedding[:length]
    x = text.ln_final(text.transformer(x, attn_mask=text.attn_mask[:length, :length]))
    last = (ids == eos).int().argmax(1)
    return F.normalize(x[torch.arange(len(ids)), last] @ text.text_projection, dim=-1)


def pick(domains: Sequence[str], batch: int, mixed: bool, rng: np.random.Generator) -> np.ndarray:
    """Draw a batch from all domains, or from one, where only the findings tell cases apart."""
    names = np.array(domains)
    pool = np.arange(len(names))
    if not mixed:
        pool = np.flatnonzero(names == rng.choice(sorted(set(domains))))
    return rng.choice(pool, min(batch, len(pool)), replace=False)


def fit(
    model: CustomTextCLIP,
    tokenizer: PreTrainedTokenizerBase,
    features: Tensor,
    cases: Sequence[Case],
    options: Options,
) -> None:
    """Train the projection and the text tower in place.

    Args:
        model: From `build`.
        tokenizer: Its own.
        features: Of the frozen trunk, (n, views, channels).
        cases: n of them.
        options: Epochs, batch, rate, seed.
    """
    rng = np.random.default_rng(options.seed)
    tokens = [
        tokenizer(list(case.wordings), truncation=True, max_length=CONTEXT)["input_ids"]
        for case in cases
    ]
    domains = [case.domain for case in cases]
    model.text.token_embedding.weight.requires_grad_(False)
    head = model.visual.head
    learning = [p for p in [*head.parameters(), *model.text.parameters()] if p.requires_grad]
    model.logit_scale.data.fill_(math.log(1 / _TEMPERATURE))
    groups: list[dict[str, Any]] = [
        {"params": learning, "weight_decay": 0.05},
        {"params": [model.logit_scale], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=options.rate)
    steps = max(2, options.epochs * len(cases) // options.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, total_steps=steps)
    spread = features.std()
    for step in track(range(steps), "training"):
        chosen = pick(domains, options.batch, step % 2 == 0, rng)
        views = rng.integers(features.shape[1], size=len(chosen))
        wording = rng.choice(len(WORDING_WEIGHTS), size=len(chosen), p=WORDING_WEIGHTS)
        seen = features[chosen, views]
        seen = seen + _NOISE * spread * torch.randn_like(seen)
        ids = [tokens[i][j] for i, j in zip(chosen, wording, strict=True)]
        padded = tokenizer.pad({"input_ids": ids}, return_tensors="pt")["input_ids"]
        pairs = (
            F.normalize(head(seen), dim=-1),
            encode_text(model.text, padded, tokenizer.sep_token_id),
            model.logit_scale.exp().clamp(max=_MAX_SCALE),
            [cases[i].wordings[j] for i, j in zip(chosen, wording, strict=True)],
        )
        if options.hardness is None:
            loss = contrastive_loss(*pairs)
        else:
            loss = hard_negative_loss(*pairs, options.hardness)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def main(options: Options) -> None:
    """Build, cache features, train, save, measure."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    model, tokenizer = build(options.out)
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    trunk = model.visual.trunk.eval().to(memory_format=torch.channels_last)
    features, cases = embed_phantoms(
        trunk, transform, "train", options.phantoms, options.seed, options.views
    )
    if options.packaged:
        more, real = embed_packaged(trunk, transform, options.seed, options.views)
        features, cases = torch.cat([features, more]), [*cases, *real]
    fit(model, tokenizer, features, cases, options)
    trained_on = manifest.sampled("train", options.phantoms, options.seed)
    manifest.write(options.out, manifest.lines_of(trained_on))
    save(model.eval(), options.out)
    minutes = time.process_time() / 60
    facts = Facts(
        phantoms=options.phantoms,
        views=options.views,
        minutes=minutes,
        held_out=options.held_out,
        seed=options.seed,
        real=options.real,
        split=options.split,
        packaged=options.packaged,
        hardness=options.hardness,
    )
    write_card(options.out, trunk, facts)


def _parse() -> Options:
    parser = argparse.ArgumentParser(prog="python -m overread.training.embedder")
    for item in fields(Options):
        flag, help_ = f"--{item.name.replace('_', '-')}", str(item.metadata["help"])
        if isinstance(item.default, bool):
            parser.add_argument(flag, action="store_true", help=help_)
            continue
        kind = _KINDS.get(item.name, type(item.default))
        parser.add_argument(flag, type=kind, help=f"{help_} (default: {item.default})")
    chosen = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    return Options(**chosen)


if __name__ == "__main__":
    main(_parse())
