"""Checkpoints of the SAM family, tiny and random: what reaches the model, and what comes back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.study import Image, ImageRef
from overread.tools.follow import follow
from overread.tools.sam_segmenter import OVERLAP, SamSegmenter, along, around
from overread.tools.sam_video import VISIBLE
from tests.tools.tiny_models import SIDE, save_sam, save_sam2, save_sam3

REF = ImageRef("st", "s0", "i0")
ROWS, COLUMNS = 48, 96


def image(seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).normal(0, 100, (ROWS, COLUMNS)).astype(np.float32)
    return Image(REF, pixels, "CT")


def block(rows: slice = slice(10, 20), columns: slice = slice(30, 50)) -> np.ndarray:
    mask = np.zeros((ROWS, COLUMNS), bool)
    mask[rows, columns] = True
    return mask


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sam")
    return {
        "sam": save_sam(root / "sam"),
        "sam2": save_sam2(root / "sam2", video=False),
        "sam2_video": save_sam2(root / "sam2_video"),
        "sam3": save_sam3(root / "sam3"),
    }


@pytest.fixture(params=["sam", "sam2", "sam2_video", "sam3"])
def segmenter(request: pytest.FixtureRequest, folders: dict[str, Path]) -> SamSegmenter:
    return SamSegmenter(folders[request.param])


Told = list[dict[str, Any]]


@pytest.fixture
def told(segmenter: SamSegmenter) -> Told:
    """What the model was told, call by call."""
    seen: Told = []
    segmenter.loaded.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(dict(kwargs)), with_kwargs=True
    )
    return seen


def test_every_prompt_gives_a_mask_on_the_image_s_own_pixels(segmenter: SamSegmenter) -> None:
    prompts: list[dict[str, Any]] = [
        {"points": [(3, 4, True)]},
        {"points": [(3, 4, True), (60, 20, False)]},
        {"box": (1, 2, 30, 40)},
        {"scribble": block()},
        {"previous": block()},
        {"points": [(3, 4, True)], "box": (1, 2, 30, 40), "previous": block()},
    ]
    maps = [segmenter.segment(image(), **given) for given in prompts]
    for found in maps:
        assert found.mask.shape == found.probability.shape == (ROWS, COLUMNS)
        assert np.array_equal(found.mask, found.probability >= 0.5) or not found.found
        assert 0 <= found.confidence <= 1 and found.basis == OVERLAP
    for number, one in enumerate(maps):
        for other in maps[:number]:
            assert not np.array_equal(one.probability, other.probability)


def test_places_reach_the_model_in_its_own_pixels(segmenter: SamSegmenter, told: Told) -> None:
    segmenter.segment(image(), points=[(48, 24, True), (90, 6, False)], box=(24, 12, 72, 36))
    down = SIDE / ROWS if segmenter.loaded.family.stretched else SIDE / COLUMNS
    across = SIDE / COLUMNS
    points = torch.tensor([[48 * across, 24 * down], [90 * across, 6 * down]])
    box = torch.tensor([24 * across, 12 * down, 72 * across, 36 * down])
    assert torch.allclose(told[-1]["input_points"][0, 0], points)
    assert told[-1]["input_labels"].flatten().tolist() == [1, 0]
    assert torch.allclose(told[-1]["input_boxes"].flatten(), box)
    assert told[-1]["multimask_output"] is False


def test_one_click_alone_asks_for_three_masks(segmenter: SamSegmenter, told: Told) -> None:
    segmenter.segment(image(), points=[(5, 5, True)])
    assert told[-1]["multimask_output"] is True


def test_a_previous_mask_lies_in_the_model_s_geometry(segmenter: SamSegmenter, told: Told) -> None:
    """The lower right quarter of the picture; SAM pads below it, the others stretch it."""
    segmenter.segment(image(), previous=block(slice(24, 48), slice(48, 96)))
    plane = told[-1]["input_masks"][0, 0]
    side = plane.shape[0]
    assert plane.min() == pytest.approx(-10) and plane.max() == pytest.approx(10)
    rows = torch.where((plane > 0).any(dim=1))[0]
    bottom = side if segmenter.loaded.family.stretched else side // 2
    assert rows.max() + 1 == bottom and rows.min() == bottom // 2
    assert torch.where((plane > 0).any(dim=0))[0].min() == side // 2
    # Without a point or a box the model would refuse: the box around the mask goes along.
    assert told[-1]["input_boxes"].shape == (1, 1, 4)


def test_what_the_model_draws_comes_back_where_it_was_drawn(
    segmenter: SamSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that marks the square's upper left eighth, whatever it is asked."""

    class Drawn:
        iou_scores = torch.tensor([[[0.8]]])
        pred_masks = torch.full((1, 1, 1, 16, 16), -9.0)

    Drawn.pred_masks[..., :4, :8] = 9.0
    monkeypatch.setattr(segmenter.loaded.model, "forward", lambda **_: Drawn)
    found = segmenter.segment(image(), points=[(1, 1, True)])
    bottom = ROWS // 4 if segmenter.loaded.family.stretched else ROWS // 2
    expected = block(slice(0, bottom), slice(0, COLUMNS // 2))
    assert 2 * (found.mask & expected).sum() / (found.mask.sum() + expected.sum()) > 0.95
    assert found.confidence == pytest.approx(0.8)


def test_grey_goes_in_as_three_equal_channels_and_once(segmenter: SamSegmenter) -> None:
    seen: list[torch.Tensor] = []
    embed = segmenter.loaded.model.get_image_embeddings
    segmenter.loaded.model.get_image_embeddings = lambda p: (seen.append(p), embed(p))[1]
    one = image()
    for x in (5, 20, 40):
        segmenter.segment(one, points=[(x, 5, True)])
    assert len(seen) == 1 and seen[0].shape == (1, 3, SIDE, SIDE)
    processor = segmenter.loaded.processor.image_processor
    mean, std = (torch.tensor(v)[:, None] for v in (processor.image_mean, processor.image_std))
    raw = seen[0][0, :, :8].flatten(1) * std + mean
    assert torch.allclose(raw[0], raw[1], atol=1e-4) and torch.allclose(raw[0], raw[2], atol=1e-4)


def test_without_a_prompt_it_says_that_it_knows_no_names(segmenter: SamSegmenter) -> None:
    assert segmenter.targets == ()
    with pytest.raises(InputError, match="knows no names, so it cannot look for 'nodule'"):
        segmenter.segment(image(), "nodule")
    with pytest.raises(InputError, match="outside the image"):
        segmenter.segment(image(), points=[(COLUMNS, 0, True)])
    with pytest.raises(InputError, match="is empty"):
        segmenter.segment(image(), previous=np.zeros((ROWS, COLUMNS), bool))
    named = segmenter.segment(image(), "nodule", points=[(3, 4, True)])
    plain = segmenter.segment(image(), points=[(3, 4, True)])
    assert np.array_equal(named.probability, plain.probability)


def test_weights_without_a_processor_get_that_of_the_family(tmp_path: Path) -> None:
    """As MedSAM-type weights come; the standard processor is for 1024 pixels."""
    folder = save_sam(tmp_path / "bare", processor=False)
    processor = SamSegmenter(folder).loaded.processor
    assert processor.image_processor.size["longest_edge"] == SIDE


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _no_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def _other_kind(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))


def _damaged(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x00" * 64)


def _other_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_weights, "no .safetensors"),
        (_no_config, "does not say which model"),
        (_other_kind, "holds a 'bert' model"),
        (_damaged, "holds no SamModel we can load"),
        (_other_shape, "lacks .* weights of SamModel"),
    ],
)
def test_a_wrong_folder_is_one_sentence(
    tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder = save_sam(tmp_path / "sam")
    spoil(folder)
    with pytest.raises(ConfigError, match=said) as caught:
        SamSegmenter(folder)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_for_video_follows_by_memory(folders: dict[str, Path]) -> None:
    segmenter = SamSegmenter(folders["sam2_video"])
    frames = [image(seed) for seed in range(5)]
    found = follow(segmenter, frames, 2, block())
    assert [one.basis for one in found] == [VISIBLE] * 5
    assert np.array_equal(found[2].mask, block())
    for one in found:
        assert one.mask.shape == (ROWS, COLUMNS) and 0 <= one.confidence <= 1
    # What was outlined is remembered: another outline gives other maps in other frames.
    other = follow(segmenter, frames, 2, block(slice(30, 45), slice(60, 90)))
    assert not np.array_equal(found[3].probability, other[3].probability)
    assert not np.array_equal(found[1].probability, other[1].probability)


def test_a_checkpoint_for_pictures_follows_slice_by_slice(folders: dict[str, Path]) -> None:
    segmenter = SamSegmenter(folders["sam2"])
    assert segmenter.remember([image()], 0, block()) is None
    found = follow(segmenter, [image(seed) for seed in range(3)], 1, block())
    assert len(found) == 3 and np.array_equal(found[1].mask, block())


def test_scribbles_become_places_far_apart() -> None:
    line = np.zeros((9, 101), bool)
    line[4, :] = True
    places = along(line)
    assert len(places) == 5 and {x for x, _, _ in places} >= {0, 100}
    assert along(np.zeros((3, 3), bool)) == []
    assert around(np.zeros((3, 3), bool)) is None
