"""From words to prompts: geometry and rules with patches that are known."""

import numpy as np
import pytest
from PIL import Image as PILImage

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.phantoms import generate
from overread.imaging.study import Image, ImageRef
from overread.imaging.vocabulary import TARGETS
from overread.index.embedder import load_embedder
from overread.index.records import picture
from overread.tools.bundled_segmenter import bundled_segmenter
from overread.tools.saliency import prompts_from, saliency
from overread.tools.sam_segmenter import SamSegmenter
from overread.tools.text_segmenter import BY_WORDS, UNCALIBRATED, TextSegmenter
from tests.tools.conftest import ThumbnailEmbedder, image_of
from tests.tools.tiny_models import save_sam

DIM, GRID = 8, 16
BRIGHT = np.eye(DIM, dtype=np.float32)[0]


class BrightEmbedder:
    """Sees brightness alone; the word "bright" means it, "dark" its opposite, others nothing."""

    name, dim = "bright 1", DIM

    def embed_images(self, images: list[PILImage.Image]) -> np.ndarray:
        return np.stack([BRIGHT for _ in images])

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        rows = np.tile(np.eye(DIM, dtype=np.float32)[1], (len(texts), 1))
        for row, text in zip(rows, texts, strict=True):
            if "bright" in text.casefold():
                row[:] = BRIGHT
            if "dark" in text.casefold():
                row[:] = -BRIGHT
        return rows

    def embed_patches(self, image: PILImage.Image) -> np.ndarray:
        small = np.asarray(image.convert("L").resize((GRID, GRID)), np.float32) / 255
        return small[..., None] * BRIGHT


def lit(rows: int = 60, columns: int = 120, spacing: tuple[float, float] | None = None) -> Image:
    pixels = np.zeros((rows, columns), np.float32)
    pixels[30:45, 80:110] = 100.0
    pixels[3, 3] = 10.0
    return Image(ImageRef("st", "s0", "i0"), pixels, "MR", spacing, (50.0, 100.0))


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0), (2.0, 1.0), (0.5, 1.0), (30.0, 1.0)])
def test_saliency_lies_where_the_picture_is_salient(spacing: tuple[float, float] | None) -> None:
    """Whatever the shape of the pixels: the embedder sees a square with borders."""
    image = lit(spacing=spacing)
    heat = saliency(BrightEmbedder(), image, picture(image), BRIGHT)
    assert heat.shape == image.shape and heat.dtype == np.float32
    pointed = prompts_from(heat)
    assert pointed is not None
    ((x, y, inside),) = pointed.points
    assert inside and image.pixels[y, x] == 100.0
    truth = np.array([80, 30, 109, 44])
    patch = max(image.shape) / GRID * 2
    assert np.abs(np.array(pointed.box) - truth).max() <= patch


def test_where_all_is_alike_there_is_nothing_to_point_at() -> None:
    assert prompts_from(np.full((20, 30), 0.3, np.float32)) is None
    assert prompts_from(np.full((20, 30), np.nan, np.float32)) is None


def test_the_heavier_region_wins() -> None:
    heat = np.zeros((40, 40), np.float32)
    heat[2:5, 2:5], heat[20:35, 20:35] = 1.0, 0.8
    pointed = prompts_from(heat)
    assert pointed is not None and pointed.box == (20, 20, 34, 34)


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> SamSegmenter:
    return SamSegmenter(save_sam(tmp_path_factory.mktemp("sam")))


def test_words_get_a_mask_from_a_segmenter_without_names(
    sam: SamSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, segmenter = lit(), TextSegmenter(sam, BrightEmbedder())
    assert segmenter.any_words and segmenter.targets == ()
    seen: dict[str, object] = {}
    run = sam.segment
    monkeypatch.setattr(
        sam,
        "segment",
        lambda image, target, box: seen.update(b=box) or run(image, target, box=box),
    )
    found = segmenter.segment(image, "Bright spot")
    left, top, right, bottom = seen["b"]  # type: ignore[misc]
    y, x = np.argwhere(image.pixels == 100.0).mean(axis=0)
    assert left <= x <= right and top <= y <= bottom
    assert found.mask.shape == image.shape and found.basis == UNCALIBRATED


def test_what_the_picture_does_not_show_is_not_outlined(sam: SamSegmenter) -> None:
    found = TextSegmenter(sam, BrightEmbedder()).segment(lit(), "dark matter")
    assert not found.found and not found.mask.any() and found.confidence >= 0.5


def test_own_names_and_pointing_go_to_the_segmenter_as_they_are() -> None:
    inner = bundled_segmenter()
    segmenter = TextSegmenter(inner, BrightEmbedder())
    assert segmenter.targets == TARGETS
    phantom = generate("chest-xray", 3)
    image = image_of(phantom)
    for given in (
        {"target": "heart"},
        {"target": "lungs"},
        {"points": [(100, 100, True)]},
        {"target": "heart", "box": (10, 10, 200, 200)},
    ):
        ours, theirs = segmenter.segment(image, **given), inner.segment(image, **given)
        assert np.array_equal(ours.mask, theirs.mask) and ours.confidence == theirs.confidence
    beside = segmenter.segment(image, "bright spot", points=[(100, 100, True)])
    assert np.array_equal(beside.mask, inner.segment(image, points=[(100, 100, True)]).mask)


@pytest.mark.parametrize("words", ["", "  ", "x" * 81])
def test_no_words_and_too_many_are_refused(sam: SamSegmenter, words: str) -> None:
    with pytest.raises(InputError, match="at most 80"):
        TextSegmenter(sam, BrightEmbedder()).segment(lit(), words)


def test_an_embedder_that_cannot_tell_where_is_refused(sam: SamSegmenter) -> None:
    class WithoutPatches:
        name, dim = "without patches", ThumbnailEmbedder.dim
        embed_images = ThumbnailEmbedder.embed_images
        embed_texts = ThumbnailEmbedder.embed_texts

    with pytest.raises(ConfigError, match="cannot tell where"):
        TextSegmenter(sam, WithoutPatches())


def test_the_bundled_embedder_tells_presence_better_than_chance(sam: SamSegmenter) -> None:
    segmenter = TextSegmenter(sam, load_embedder("bundled"))
    told: dict[bool, list[float]] = {True: [], False: []}
    for domain, own, other in (
        ("fundus", "optic disc", "liver"),
        ("abdomen-ct", "liver", "optic disc"),
        ("brain-mr", "ventricles", "retina"),
        ("chest-xray", "heart", "nuclei"),
    ):
        for patient in range(3):
            image = image_of(generate(domain, patient))
            told[True].append(segmenter.presence(image, own)[0])
            told[False].append(segmenter.presence(image, other)[0])
            assert segmenter.presence(image, own)[1] in (BY_WORDS, UNCALIBRATED)
    assert np.mean(told[True]) > np.mean(told[False])
