"""MONAI bundles: used as data, never run; held against MONAI's own network and transforms."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai import transforms
from monai.networks import nets

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.study import Image, ImageRef
from overread.tools.monai_bundle import read_bundle
from overread.tools.monai_segmenter import MonaiSegmenter
from overread.tools.segmenter import INSIDE
from tests.tools.tiny_models import BUNDLE_NETWORK, save_bundle

REF = ImageRef("st", "s0", "i0")


def image(rows: int = 31, columns: int = 44) -> Image:
    return Image(REF, np.random.default_rng(0).normal(0, 60, (rows, columns)).astype("f4"), "CT")


def load(folder: Path) -> MonaiSegmenter:
    return MonaiSegmenter(read_bundle(folder))


@pytest.fixture
def segmenter(tmp_path: Path) -> MonaiSegmenter:
    return load(save_bundle(tmp_path / "bundle"))


def test_its_classes_are_its_vocabulary(segmenter: MonaiSegmenter) -> None:
    assert segmenter.targets == ("spleen", "pancreas")
    assert segmenter.version == "monai-bundle tiny 0.1.0"
    assert segmenter.segment(image(), "The Spleen").mask.shape == (31, 44)
    with pytest.raises(InputError, match=r"'heart' is not something .* it knows spleen, pancreas"):
        segmenter.segment(image(), "heart")
    with pytest.raises(InputError, match="goes by names alone"):
        segmenter.segment(image(), points=[(1, 1, True)])


def test_probabilities_are_those_of_monai_itself(tmp_path: Path) -> None:
    folder = save_bundle(tmp_path / "bundle")
    network = nets.UNet(2, 1, 3, [4, 8], [2])
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    scale = transforms.ScaleIntensityRange(-100, 100, 0.0, 1.0, clip=True)
    one = image(32, 44)  # a size that the network takes as it is
    # MONAI reads a file with its columns first.
    data = torch.as_tensor(scale(torch.from_numpy(one.pixels.T[None].copy())))
    with torch.inference_mode():
        expected = network.eval()(data[None]).softmax(1)[0].numpy().transpose(0, 2, 1)
    segmenter = load(folder)
    for channel, name in ((1, "spleen"), (2, "pancreas")):
        found = segmenter.segment(one, name)
        assert np.allclose(found.probability, expected[channel], atol=1e-5)
        assert np.array_equal(found.mask, found.probability >= 0.5)
        if found.found:
            assert found.basis == INSIDE
            assert found.confidence == pytest.approx(found.probability[found.mask].mean())


def test_prompts_choose_among_the_regions_of_a_class(
    segmenter: MonaiSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = np.zeros((3, 31, 44), np.float32)
    told[1, 2:6, 2:6] = told[1, 20:25, 30:40] = 0.9
    monkeypatch.setattr(segmenter, "_probabilities", lambda _: told)
    everything = segmenter.segment(image(), "spleen")
    assert everything.mask.sum() == 66 and everything.confidence == pytest.approx(0.9)
    one = segmenter.segment(image(), "spleen", points=[(3, 3, True)])
    assert one.mask.sum() == 16 and one.mask[3, 3]
    assert segmenter.segment(image(), "spleen", points=[(3, 3, False)]).mask.sum() == 50
    assert segmenter.segment(image(), "spleen", box=(28, 18, 43, 30)).mask.sum() == 50
    nothing = segmenter.segment(image(), "pancreas")
    assert not nothing.found and not nothing.mask.any() and nothing.confidence == 1.0


def test_safetensors_do_as_well(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = save_bundle(tmp_path / "bundle")
    before = load(folder).segment(image(), "spleen").probability
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    (folder / "models" / "model.pt").unlink()
    save_file(state, folder / "models" / "model.safetensors")
    assert np.array_equal(load(folder).segment(image(), "spleen").probability, before)


@pytest.mark.parametrize("shape", [["*", "*"], [32, 32], ["8*n", "8*n"]])
@pytest.mark.parametrize("patches", [False, True])
def test_pictures_of_any_size_come_back_in_their_own(
    tmp_path: Path, shape: list[Any], patches: bool
) -> None:
    formats = {
        "inputs": {"image": {"num_channels": 1, "spatial_shape": shape, "is_patch_data": patches}},
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "a", "2": "b"}}},
    }
    segmenter = load(save_bundle(tmp_path / "bundle", network_data_format=formats))
    size = image() if shape != ["*", "*"] else image(40, 60)
    assert segmenter.segment(size, "a").probability.shape == size.shape


EVIL = {"_target_": "os.system", "command": "touch owned"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"network_def": EVIL}, "wants 'os.system'; only networks of monai.networks.nets"),
        ({"network_def": {"_target_": "monai.networks.nets.os.system"}}, "wants 'monai.networks"),
        ({"network_def": BUNDLE_NETWORK | {"act": EVIL}}, "makes a 'os.system' inside"),
        ({"network_def": BUNDLE_NETWORK | {"channels": "$__import__('os')"}}, "are not run"),
        ({"network_def": BUNDLE_NETWORK | {"channels": "@elsewhere"}}, "which is no plain value"),
        ({"network_def": BUNDLE_NETWORK | {"_target_": "UNetish"}}, "has no network 'UNetish'"),
        ({"network_def": BUNDLE_NETWORK | {"_target_": "torch"}}, "has no network 'torch'"),
        ({"network_def": BUNDLE_NETWORK | {"channels": [4, 16]}}, "do not make a UNet"),
        (
            {"network_def": BUNDLE_NETWORK | {"spatial_dims": 3}},
            "2 dimensions .* and a network of 3",
        ),
        ({"network_def": "$x"}, "no network_def"),
        ({"preprocessing": {"transforms": [{"_target_": "Lambdad"}]}}, "by 'Lambdad', which we do"),
        ({"preprocessing": {"transforms": [EVIL]}}, "by 'os.system', which we do not"),
    ],
)
def test_what_could_run_a_program_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said) as caught:
        load(save_bundle(tmp_path / "bundle", config))
    assert "\n" not in str(caught.value) and not (tmp_path / "owned").exists()


def test_a_network_fetches_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a bundle fetched weights")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refused)
    monkeypatch.setattr("monai.networks.nets.efficientnet.model_zoo.load_url", refused)
    network = {"_target_": "FlexibleUNet", "in_channels": 1, "out_channels": 3, "spatial_dims": 2}
    network |= {"backbone": "efficientnet-b0", "pretrained": True}
    with pytest.raises(ConfigError, match="do not make a FlexibleUNet"):  # other weights lie there
        load(save_bundle(tmp_path / "bundle", {"network_def": network}))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("owned").touch, ())


def test_pickled_weights_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_bundle(tmp_path / "bundle")
    for write in (
        lambda path: path.write_bytes(pickle.dumps({"model": Evil()})),
        lambda path: torch.save({"model": Evil()}, path),
    ):
        write(folder / "models" / "model.pt")
        with pytest.raises(ConfigError, match=r"model\.pt"):
            load(folder)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("lost", ["models/model.pt", "configs/inference.json"])
def test_what_is_missing_is_named(tmp_path: Path, lost: str) -> None:
    folder = save_bundle(tmp_path / "bundle")
    (folder / lost).unlink()
    with pytest.raises(ConfigError, match=Path(lost).name):
        load(folder)


def test_metadata_without_channels_is_refused(tmp_path: Path) -> None:
    folder = save_bundle(tmp_path / "bundle")
    (folder / "configs" / "metadata.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(ConfigError, match="does not name the channels"):
        load(folder)
