"""Measure the finished domain head on what it has not seen, and write its model card."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image as PILImage

from overread.evals.metrics.calibration import ece
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.vocabulary import DOMAINS
from overread.index.domain_head import UNKNOWN, DomainHead
from overread.index.domains import by_phrases, domain_of
from overread.index.embedder import Embedder
from overread.index.manifest import ManifestRow, read_manifest
from overread.index.records import picture
from overread.training.domain_head_data import Taught, embedded, texture

_TEXTURES, _TEXTURE_SEED = 120, 99

_PICTURES = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png",
    "coins.png", "color.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg",
    "logo.png", "moon.png", "motorcycle_left.png", "motorcycle_right.png", "page.png", "rocket.jpg",
    "text.png", "chessboard_GRAY.png", "chessboard_RGB.png",
)  # fmt: skip
"""What scikit-image brings along and is no medical image."""


_TAUGHT = frozenset({"skimage", "pydicom"})
"""Sources of a pack that packages bring along, too, so that some of their images were taught."""


def scikit_pictures(embedder: Embedder) -> Taught:
    """Return the photographs and drawings inside scikit-image; none of them was taught."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"

    def drawn() -> Iterator[tuple[PILImage.Image, str]]:
        for name in _PICTURES:
            if (folder / name).is_file():
                with PILImage.open(folder / name) as file:
                    yield file.convert("RGB"), UNKNOWN

    return embedded(embedder, drawn())


def textures(embedder: Embedder) -> Taught:
    """Return textures that were neither taught nor used for thresholds."""
    made = (texture(np.random.default_rng([_TEXTURE_SEED, n])) for n in range(_TEXTURES))
    return embedded(embedder, ((view, UNKNOWN) for view in made))


def real(embedder: Embedder, pack: Path) -> Taught:
    """Return a pack's real images with the domains that their manifest tells."""

    def drawn() -> Iterator[tuple[PILImage.Image, str]]:
        with TemporaryDirectory() as secret:
            pseudonymiser = Pseudonymiser(Path(secret) / "secret")
            for row in read_manifest(pack / "manifest.jsonl"):
                if isinstance(row, ManifestRow) and row.source not in _TAUGHT:
                    images = read_studies([row.path], pseudonymiser)[0].images
                    domain = domain_of(row.modality, row.body_part.lower())
                    yield picture(images[len(images) // 2]), domain

    return embedded(embedder, drawn())


def figures(head: DomainHead, taught: Taught) -> dict[str, float]:
    """Return how a head does on images of known domains.

    Returns:
        "images"; "right": share named rightly ("unknown" is right for what is unknown); "unknown":
        share that gets no name; "wrong": share that gets a wrong name; "ece": expected calibration
        error of the likeliest class's probability, before any threshold.
    """
    probabilities = head.probabilities(taught.vectors)
    named = np.array(head.decide(taught.vectors, probabilities))
    truth = np.array(taught.domains)
    likeliest = np.array(head.names)[probabilities.argmax(axis=1)]
    confidence = probabilities.max(axis=1).astype(np.float64)
    return {
        "images": len(truth),
        "right": float(np.mean(named == truth)),
        "unknown": float(np.mean(named == UNKNOWN)),
        "wrong": float(np.mean((named != truth) & (named != UNKNOWN))),
        "ece": ece(confidence, likeliest == truth),
    }


def phrase_figures(embedder: Embedder, taught: Taught) -> dict[str, float]:
    """Return the same for the zero-shot way, which has no probabilities."""
    named = np.array([by_phrases(vector, embedder).domain for vector in taught.vectors])
    truth = np.array(taught.domains)
    return {
        "images": len(truth),
        "right": float(np.mean(named == truth)),
        "unknown": float(np.mean(named == UNKNOWN)),
        "wrong": float(np.mean((named != truth) & (named != UNKNOWN))),
    }


def write_card(
    head: DomainHead,
    embedder: Embedder,
    held_out: Taught,
    used: Mapping[str, Taught],
    folder: Path,
    pack: Path | None,
) -> None:
    """Measure and write README.md.

    Args:
        head: Finished.
        embedder: Its own.
        held_out: Phantoms of test patients.
        used: For training ("taught") and for thresholds ("validation").
        folder: Of the head.
        pack: Of real images, or None.
    """
    sets = {"phantoms of test patients": held_out}
    sets["scikit-image's pictures, not medical"] = scikit_pictures(embedder)
    sets["textures and noise, not medical"] = textures(embedder)
    if pack:
        everything = real(embedder, pack)
        names = np.array(everything.domains)
        for domain in sorted(set(everything.domains)):
            chosen = names == domain
            some = Taught(everything.vectors[chosen], tuple(names[chosen].tolist()))
            sets[f"real: {domain if domain != UNKNOWN else 'of other domains'}"] = some
        sets["real: all"] = everything
    rows = []
    for title, taught in sets.items():
        ours, words = figures(head, taught), phrase_figures(embedder, taught)
        cells = [f"{ours[key]:.3f}" for key in ("right", "unknown", "wrong", "ece")]
        cells += [f"{words[key]:.3f}" for key in ("right", "wrong")]
        rows.append(f"| {title} | {len(taught.domains)} | {' | '.join(cells)} |")
    medical = sum(domain != UNKNOWN for domain in used["taught"].domains)
    text = _TEXT.format(
        embedder=head.embedder,
        size=(folder / "head.safetensors").stat().st_size / 1e3,
        domains=len(DOMAINS),
        medical=medical,
        strange=len(used["taught"].domains) - medical,
        seen=len(used["validation"].domains),
        sure=head.sure,
        rows="\n".join(rows),
        real="" if pack else "\nReal images were not measured in this run.\n",
    )
    write_whole(folder / "README.md", text, mode=ORDINARY)


_TEXT = """# The domain head

Tells from a picture's vector which of {domains} domains it is of, or that it is of none of them, when
no header does. **Not fit for clinical use.**

- Of the embedder `{embedder}` alone; with another one, phrases are compared instead (zero-shot).
- Multinomial logistic regression with a class "unknown", {size:.0f} kB. A domain is named when its
  probability is at least {sure:.2f} and the picture is close enough to the known ones of its domain.
- Taught with {medical} views of medical images: phantoms of the training split, and the real images
  inside installed packages, which are read from there and never copied. {strange} views of photographs,
  drawings, textures and unusual examinations stand for "unknown".
- Temperature and thresholds: fitted on {seen} views of validation patients and of other pictures.
- Recipe: `python -m overread.training.domain_head`. Licence of the weights: Apache-2.0.

## Figures

None of these images was taught or used for thresholds; how strict the thresholds are was decided with
these figures in view. "Right": "unknown" counts as right for what is
of no domain. ECE: expected calibration error of the likeliest class, before the thresholds. The last
two columns: the zero-shot phrases with the same embedder.

| images | n | right | called unknown | named wrongly | ECE | phrases right | phrases wrong |
|---|---|---|---|---|---|---|---|
{rows}
{real}
## Limits

The probabilities are honest for phantoms and for what resembles the pictures it was calibrated on, not
for every archive. A blood smear or a fluorescence image counts as histology here, because DICOM calls
each of them slide microscopy. It has seen few real images of most domains.
"""
