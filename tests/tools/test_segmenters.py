"""Every kind of segmenter by one conformance test; and how a folder is told apart."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from overread.agent.config import load_config
from overread.agent.resources import Resources
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.study import Image, ImageRef
from overread.tools.segmenter import Segmenter
from overread.tools.segmenters import load_segmenter
from overread.tools.text_segmenter import TextSegmenter
from overread.ui.commands.doctor import examine
from tests.tools.tiny_models import save_bundle, save_sam, save_sam2, save_sam3

IMAGE = Image(
    ImageRef("st", "s0", "i0"), np.random.default_rng(0).normal(0, 90, (40, 56)).astype("f4"), "CT"
)
SAVERS: dict[str, Callable[[Path], Path]] = {
    "sam": save_sam,
    "sam2": save_sam2,
    "sam3": save_sam3,
    "monai": save_bundle,
}


@pytest.mark.parametrize("kind", ["bundled", *SAVERS])
def test_every_segmenter_conforms(tmp_path: Path, kind: str) -> None:
    segmenter: Segmenter = load_segmenter(
        str(SAVERS[kind](tmp_path / kind)) if kind in SAVERS else kind
    )
    assert segmenter.version and not segmenter.any_words
    name = segmenter.targets[0] if segmenter.targets else None
    before = IMAGE.pixels.copy()
    found = segmenter.segment(IMAGE, name, points=[(20, 20, True)], box=(10, 10, 40, 30))
    assert np.array_equal(IMAGE.pixels, before)
    assert found.mask.dtype == bool and found.mask.shape == IMAGE.shape
    assert found.probability.dtype == np.float32 and found.probability.shape == IMAGE.shape
    assert found.probability.min() >= 0 and found.probability.max() <= 1
    assert found.mask.any() == found.found and 0 <= found.confidence <= 1 and found.basis
    again = segmenter.segment(IMAGE, name, points=[(20, 20, True)], box=(10, 10, 40, 30))
    assert np.array_equal(again.mask, found.mask)
    for wrong in (
        {"points": [(56, 0, True)]},
        {"box": (5, 5, 4, 9)},
        {"box": (0, 0, 56, 9)},
        {"previous": np.ones((3, 3), bool)},
        {"scribble": np.ones((3, 3), bool)},
        {},
    ):
        with pytest.raises(InputError):
            segmenter.segment(IMAGE, None, **wrong)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "there is no folder"),
        (lambda folder: folder.mkdir(), "has neither configs/metadata.json"),
    ],
)
def test_a_wrong_folder_is_one_sentence(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path / "model")
    with pytest.raises(ConfigError, match=said):
        load_segmenter(str(tmp_path / "model"))


def test_configuration_chooses_and_doctor_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_bundle(tmp_path / "bundle")
    monkeypatch.setenv("OVERREAD_DATA_DIR", str(tmp_path / "data"))
    assert Resources(load_config()).tool_context(()).names is None
    monkeypatch.setenv("OVERREAD_SEGMENTER__MODEL", str(folder))
    config = load_config()
    assert Resources(config).segmenter().targets == ("spleen", "pancreas")
    assert Resources(config).tool_context(()).names == ("spleen", "pancreas")
    told = examine(config)["models"]["segmenter"]
    assert told == "monai-bundle tiny 0.1.0; knows spleen, pancreas"
    monkeypatch.setenv("OVERREAD_SEGMENTER__WORDS", "saliency")
    assert isinstance(Resources(load_config()).segmenter(), TextSegmenter)
    assert Resources(load_config()).tool_context(()).names == ()
    monkeypatch.setenv("OVERREAD_SEGMENTER__MODEL", str(tmp_path / "nowhere"))
    assert "there is no folder" in examine(load_config())["models"]["segmenter"]
    with pytest.raises(ConfigError, match="there is no folder"):
        Resources(load_config()).segmenter()
    monkeypatch.setenv("OVERREAD_SEGMENTER__WORDS", "guess")
    with pytest.raises(ConfigError, match=r"segmenter\.words"):
        load_config()
