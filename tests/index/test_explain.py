import numpy as np
import open_clip
import pytest
import torch
from PIL import Image as PILImage

from overread.imaging.errors import ConfigError
from overread.imaging.render import heat_overlay
from overread.index.embedder import Embedder, load_embedder
from overread.index.explain import drawn, explain, upsampled
from overread.index.patches import PatchEmbedder, of_open_clip
from overread.index.records import Hit
from tests.index.conftest import picture as noise

HIT = Hit.from_metadata("h", 0.5, {"labels": ["nodule"], "study_id": "s", "domain": "chest-ct"})


@pytest.fixture(scope="session")
def bundled() -> Embedder:
    return load_embedder("bundled")


@pytest.mark.parametrize(
    "folder",
    [
        "open_clip_folder",
        "clip_folder",
        "siglip_folder",
        "biomed_clip_folder",
        "dual_encoder_folder",
    ],
)
def test_every_format_tells_where(folder: str, request: pytest.FixtureRequest) -> None:
    embedder = load_embedder(str(request.getfixturevalue(folder)))
    assert isinstance(embedder, PatchEmbedder)
    patches = embedder.embed_patches(noise(1))
    side = 10 if folder == "biomed_clip_folder" else 4
    assert patches.shape == (side, side, embedder.dim) and patches.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(patches, axis=-1), 1, rtol=1e-5)
    why = explain(embedder, noise(1), noise(2))
    assert why.heat.shape == (40, 40) and why.heat.dtype == np.float32 and why.heat.std() > 0


def test_places_of_an_averaging_tower_add_up_to_the_score(bundled: Embedder) -> None:
    query, other = (noise(seed).resize((256, 256)) for seed in (1, 2))
    assert isinstance(bundled, PatchEmbedder)
    patches = bundled.embed_patches(query)
    vector, neighbour = bundled.embed_images([query, other])
    np.testing.assert_allclose(patches.mean((0, 1)), vector, atol=1e-5)
    why = explain(bundled, query, other)
    assert why.score == pytest.approx(float(vector @ neighbour), abs=1e-5)
    assert (patches @ neighbour).mean() == pytest.approx(why.score, abs=1e-4)


def test_what_all_cases_share_is_taken_away(bundled: Embedder) -> None:
    query, other = (noise(seed).resize((256, 256)) for seed in (1, 2))
    common = bundled.embed_images([other])[0]
    assert np.abs(explain(bundled, query, other, common).heat).max() < 1e-4


def test_heat_lies_where_the_pictures_are_alike(bundled: Embedder) -> None:
    texture = np.asarray(noise(3).resize((128, 128)))
    query = np.full((256, 256, 3), 90, np.uint8)
    query[:128, :128] = texture
    alike = PILImage.fromarray(np.tile(texture, (2, 2, 1)))
    heat = explain(bundled, PILImage.fromarray(query), alike).heat
    assert heat[:96, :96].mean() > heat[160:, 160:].mean()


def test_shared_labels_are_named(bundled: Embedder) -> None:
    query = noise(1).resize((64, 64))
    why = explain(bundled, query, query, labels=("nodule", "effusion"), theirs=("nodule",))
    assert why.shared == ("nodule",)
    assert why.score == pytest.approx(1, abs=1e-5)
    sheet = drawn(query, query, HIT, why)
    assert sheet.width > 2.9 * sheet.height / 1.2 > 0


def test_the_resnet_of_clip_and_timm_transformers_tell_where() -> None:
    torch.manual_seed(0)
    pixels = torch.rand(1, 3, 64, 64)
    resnet = open_clip.model.ModifiedResNet((1, 1, 1, 1), 16, heads=4, image_size=64, width=8)
    assert of_open_clip(resnet.eval(), pixels).shape == (2, 2, 16)
    tower = open_clip.timm_model.TimmModel(
        "vit_tiny_patch16_224", embed_dim=16, image_size=224, pool="", proj="linear"
    ).eval()
    with torch.inference_mode():
        patches = of_open_clip(tower, torch.rand(1, 3, 224, 224))
    assert patches.shape == (14, 14, 16)


def test_a_tower_or_an_embedder_that_cannot_tell_is_refused() -> None:
    class Blind:
        name, dim = "blind", 3

        def embed_images(self, images: list[PILImage.Image]) -> np.ndarray:
            return np.eye(3, dtype=np.float32)[: len(images)]

        def embed_texts(self, texts: list[str]) -> np.ndarray:
            raise NotImplementedError

    with pytest.raises(ConfigError, match="blind cannot tell which places"):
        explain(Blind(), noise(1), noise(2))
    with pytest.raises(ConfigError, match="image tower Linear are not known"):
        of_open_clip(torch.nn.Linear(1, 1), torch.zeros(1, 3, 8, 8))


def test_maps_are_enlarged_without_moving() -> None:
    patches = np.zeros((4, 4), np.float32)
    patches[1, 2] = 1
    heat = upsampled(patches, 80, 40)
    assert heat.shape == (80, 40)
    assert np.unravel_index(heat.argmax(), heat.shape)[0] in range(20, 40)
    assert np.unravel_index(heat.argmax(), heat.shape)[1] in range(20, 30)


def test_heat_is_drawn_over_the_grey_picture() -> None:
    grey = PILImage.new("RGB", (32, 16), (80, 80, 80))
    heat = np.zeros((16, 32), np.float32)
    heat[4, 8] = 2.0
    seen = np.asarray(heat_overlay(grey, heat), int)
    assert (seen[0, 0] == 80).all()
    assert np.abs(seen[4, 8] - 80).max() > 60
    assert (np.asarray(heat_overlay(grey, np.ones((16, 32), np.float32))) == 80).all()
    with pytest.raises(ValueError, match="the heat has shape"):
        heat_overlay(grey, heat.T)
