"""What the click head is told of a session's prompts, and where its weights are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from overread.imaging.errors import ConfigError
from overread.imaging.files import file_hash
from overread.imaging.study import Image, ImageRef
from overread.tools.bundled_segmenter import CLICKS, WEIGHTS, BundledSegmenter
from overread.tools.click_net import ClickHead, nearness
from overread.tools.prompts import Letterbox, prompt_planes


def planes(*points: tuple[float, float, bool]) -> torch.Tensor:
    return prompt_planes(Letterbox.of(192, 192), points)[None]


@pytest.mark.parametrize("place", [(0, 0), (191, 191), (100, 37), (100.5, 36.5), (41, 40)])
def test_nearness_is_one_at_a_click_wherever_it_falls(place: tuple[float, float]) -> None:
    near = nearness(planes((*place, True)))
    assert near[0, :2].amax((1, 2)).tolist() == [1.0, 1.0]
    assert not near[0, 2:].any(), "there is no click outside"
    row, column = np.unravel_index(int(near[0, 0].argmax()), near.shape[2:])
    assert abs(column - place[0] / 2) <= 1 and abs(row - place[1] / 2) <= 1


def test_nearness_falls_as_it_says() -> None:
    near = nearness(planes((20, 20, True), (20, 20, False)))[0]
    middle = int(near[0].argmax()) % 96
    assert near[0, middle, middle + 6] == pytest.approx(np.exp(-1), abs=1e-6)
    assert near[1, middle, middle + 30] == pytest.approx(np.exp(-1), abs=1e-6)
    assert torch.equal(near[:2], near[2:])


def test_a_click_reaches_the_whole_picture() -> None:
    """The mask far away depends on where a click is, which convolutions alone would not see."""
    torch.manual_seed(0)
    head = ClickHead().eval()
    maps = [torch.rand(1, w, 192 // s, 192 // s) for w, s in ((12, 1), (24, 2), (48, 4), (96, 8))]
    owner = torch.zeros(1, dtype=torch.int64)
    with torch.inference_mode():
        one, other = (head(maps, owner, planes((x, 8, True))) for x in (8, 24))
    assert (one - other).abs()[0, 150:, 150:].max() > 1e-4


def test_each_query_is_answered_by_itself() -> None:
    torch.manual_seed(0)
    head = ClickHead().eval()
    maps = [torch.rand(2, w, 192 // s, 192 // s) for w, s in ((12, 1), (24, 2), (48, 4), (96, 8))]
    prompts = torch.cat([planes((30, 40, True)), planes((90, 90, True), (10, 10, False))])
    with torch.inference_mode():
        both = head(maps, torch.tensor([1, 0]), prompts)
        alone = head(maps, torch.tensor([0]), prompts[1:])
    assert torch.allclose(both[1:], alone, atol=1e-4)


def test_weights_of_other_features_are_refused(tmp_path: Path) -> None:
    state = load_file(CLICKS)
    other = tmp_path / "other.safetensors"
    save_file(state, other, metadata={"version": "1", "backbone": "0" * 64})
    with pytest.raises(ConfigError, match="trained on other features"):
        BundledSegmenter(clicks=other)
    save_file({"x": torch.zeros(1)}, other, metadata={"backbone": file_hash(WEIGHTS)})
    with pytest.raises(ConfigError, match="not a weights file of the click head"):
        BundledSegmenter(clicks=other)


def test_names_are_answered_as_without_the_head() -> None:
    rng = np.random.default_rng(0)
    image = Image(ImageRef("st", "s0", "i0"), rng.normal(0, 100, (96, 96)).astype(np.float32), "CT")
    with_head, without = BundledSegmenter(), BundledSegmenter(clicks=None)
    for options in ({"target": "liver"}, {"target": "liver", "points": [(40, 40, True)]}):
        one, other = (s.segment(image, **options) for s in (with_head, without))
        assert np.array_equal(one.probability, other.probability)
    one, other = (s.segment(image, points=[(40, 40, True)]) for s in (with_head, without))
    assert not np.array_equal(one.probability, other.probability)
