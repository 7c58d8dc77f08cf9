"""MONAI bundles for volumes, held against MONAI's own reader, transforms and way back."""

import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai import transforms
from monai.inferers import sliding_window_inference
from monai.networks import nets
from torch import nn

from overread.agent.config import load_config
from overread.agent.intake import register
from overread.agent.resources import Resources
from overread.imaging.archive import Archive
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.study import Image, ImageRef
from overread.tools.monai_volume import MonaiVolumeSegmenter
from overread.tools.segmenters import load_segmenter
from overread.tools.volume import volume
from overread.ui.commands.doctor import examine
from tests.tools.scans import Scan
from tests.tools.tiny_models import VOLUME_STEPS, save_volume_bundle

UNET: dict[str, Any] = {
    "_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3,
    "channels": [4, 8], "strides": [2],
}  # fmt: skip
# One weight a layer: it tells voxels above a half from those below, each by itself.
VOXELWISE: dict[str, Any] = {
    "_target_": "AutoEncoder", "spatial_dims": 3, "in_channels": 1, "out_channels": 3,
    "channels": [1], "strides": [1], "kernel_size": 1, "up_kernel_size": 1, "norm": None,
}  # fmt: skip


def unet() -> nn.Module:
    torch.manual_seed(2)
    return nets.UNet(3, 1, 3, [4, 8], [2])


def bright_spleen() -> nn.Module:
    arguments = {key: value for key, value in VOXELWISE.items() if key != "_target_"}
    network = nets.AutoEncoder(**arguments)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.fill_(0)
            layer.bias.fill_(0)
        layers[0].weight.fill_(1)
        layers[-1].weight.flatten()[1] = 40
        layers[-1].bias[1], layers[-1].bias[2] = -20, -40
    return network


@pytest.mark.parametrize(
    "axes",
    [("L", "P", "S"), ("R", "A", "S"), ("P", "S", "R"), ("A", "I", "L")],
)
def test_probabilities_are_those_of_monai_itself(tmp_path: Path, axes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(3)
    voxels = rng.normal(100, 200, (37, 29, 11)).astype("f4")
    turn = nibabel.orientations.axcodes2ornt(axes)
    affine = nibabel.orientations.inv_ornt_aff(turn, voxels.shape) @ np.diag([1.5, 2.0, 3.5, 1.0])
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    folder = save_volume_bundle(tmp_path / "bundle", unet(), UNET)

    steps = transforms.Compose(
        [
            transforms.LoadImage(image_only=True),
            transforms.EnsureChannelFirst(),
            transforms.Orientation(axcodes="RAS"),
            transforms.Spacing(pixdim=(3.0, 3.0, 4.0), mode="bilinear"),
            transforms.ScaleIntensityRange(-100, 400, 0.0, 1.0, clip=True),
        ]
    )
    data = steps(path)
    with torch.inference_mode():
        logits = sliding_window_inference(data[None], (32, 32, 16), 1, unet().eval(), overlap=0.25)
    back = transforms.Compose(steps.transforms[2:4]).inverse(logits.softmax(1)[0])
    expected = back.as_tensor().numpy()

    config = load_config(data_dir=tmp_path / "data", segmenter={"model": str(folder)})
    resources = Resources(config)
    (middle,) = register(resources, [path], limit=1)
    segmenter = resources.segmenter()
    assert segmenter.targets == ("spleen", "pancreas")
    assert segmenter.version == "monai-bundle tiny-3d 0.2.0"
    refs = resources.archive.series(middle).refs
    # Intake may turn a volume; the truth is turned with it.
    source = nibabel.Nifti1Image(voxels, affine)
    for channel, name in ((1, "spleen"), (2, "pancreas")):
        truth = nibabel.Nifti1Image(expected[channel], affine)
        turned = truth.as_reoriented(_turned(source, resources, middle))
        assert turned.shape[2] == len(refs)
        for number, ref in enumerate(refs):
            found = segmenter.segment(resources.archive.load(ref), name)
            wanted = np.asarray(turned.dataobj)[..., number].T
            assert np.allclose(found.probability, wanted, atol=2e-3)
    assert "tiny-3d 0.2.0; knows spleen, pancreas" in examine(config)["models"]["segmenter"]


def _turned(source: nibabel.Nifti1Image, resources: Resources, ref: ImageRef) -> np.ndarray:
    """Return how intake turned the axes of a file, by the affine that it kept."""
    kept = resources.archive.series(ref).affine
    assert kept is not None
    return nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(source.affine),
        nibabel.orientations.io_orientation(kept),
    )


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def bright(tmp_path: Path, archive: Archive) -> MonaiVolumeSegmenter:
    folder = save_volume_bundle(tmp_path / "bundle", bright_spleen(), VOXELWISE)
    segmenter = load_segmenter(str(folder), archive)
    assert isinstance(segmenter, MonaiVolumeSegmenter)
    return segmenter


def test_a_ball_is_as_large_as_it_is(archive: Archive, bright: MonaiVolumeSegmenter) -> None:
    levels = [float(level) for level in np.arange(-20.0, 71.0, 2.5)]
    ref = Scan("s1", levels, is_void=True).add(archive)
    found = volume(archive, bright, ref, "spleen")
    truth = 4 / 3 * math.pi * 20**3 / 1000
    assert found.measured.value == pytest.approx(truth, rel=0.03)
    assert found.of == len(levels) and abs(found.slices - 40 / 2.5) <= 2
    with pytest.raises(InputError, match="no pancreas found in the"):
        volume(archive, bright, ref, "pancreas")


def test_another_series_is_read_anew(archive: Archive, bright: MonaiVolumeSegmenter) -> None:
    levels = [float(level) for level in np.arange(0.0, 50.1, 2.5)]
    first = Scan("s1", levels, is_void=True, ball=10).add(archive)
    second = Scan("s2", levels, is_void=True, ball=20).add(archive)
    small = bright.segment(archive.load(first), "spleen").mask.sum()
    large = bright.segment(archive.load(second), "spleen").mask.sum()
    assert large == pytest.approx(4 * small, rel=0.1)
    assert bright.segment(archive.load(first), "spleen").mask.sum() == small


def test_other_pixels_under_a_known_reference_are_read_anew(
    bright: MonaiVolumeSegmenter, archive: Archive
) -> None:
    levels = [float(level) for level in np.arange(0.0, 50.1, 2.5)]
    ref = Scan("s1", levels, is_void=True, ball=10).add(archive)
    small = bright.segment(archive.load(ref), "spleen").mask.sum()
    archive.remove(archive.series(ref).refs)
    assert Scan("s1", levels, is_void=True, ball=20).add(archive) == ref
    assert bright.segment(archive.load(ref), "spleen").mask.sum() > 3 * small


def test_what_is_no_volume_is_refused(archive: Archive, bright: MonaiVolumeSegmenter) -> None:
    def ask(scan: Scan) -> None:
        bright.segment(archive.load(scan.add(archive)), "spleen")

    with pytest.raises(InputError, match="some are missing"):
        ask(Scan("s1", [0, 2.5, 5, 12.5, 15, 17.5]))
    with pytest.raises(InputError, match="two slices at least"):
        ask(Scan("s2", [0.0]))
    with pytest.raises(InputError, match="whose places are known"):
        ask(Scan("s3", [0.0, 2.5, 5.0], image={"plane": None}))
    with pytest.raises(InputError, match="lies where this one does"):
        ask(Scan("s4", [0.0, 2.5, 5.0, 0.0, 2.5, 5.0]))


def test_it_needs_the_series(tmp_path: Path) -> None:
    folder = save_volume_bundle(tmp_path / "bundle", unet(), UNET)
    image = Image(ImageRef("st", "s0", "i0"), np.zeros((8, 8), "f4"), "CT")
    with pytest.raises(InputError, match="an image of a stored series"):
        load_segmenter(str(folder)).segment(image, "spleen")


def test_what_does_not_fit_a_series_is_refused(tmp_path: Path) -> None:
    folder = save_volume_bundle(tmp_path / "bundle", unet(), UNET)
    metadata = folder / "configs" / "metadata.json"
    metadata.write_text(
        metadata.read_text("utf-8").replace('"num_channels": 1', '"num_channels": 3')
    )
    with pytest.raises(ConfigError, match="volumes of 3 channels; a series gives one"):
        load_segmenter(str(folder))


@pytest.mark.parametrize("side", ["*", "8*n"])
def test_windows_of_any_size_are_ours_to_choose(
    tmp_path: Path, archive: Archive, side: str
) -> None:
    folder = save_volume_bundle(tmp_path / "bundle", unet(), UNET)
    metadata = folder / "configs" / "metadata.json"
    shape = f'["{side}", "{side}", "{side}"]'
    metadata.write_text(metadata.read_text("utf-8").replace("[32, 32, 16]", shape))
    ref = Scan("s1", [0.0, 5.0, 10.0]).add(archive)
    found = load_segmenter(str(folder), archive).segment(archive.load(ref), "spleen")
    assert found.probability.shape == (96, 96) and 0 < found.probability.mean() < 1


def test_the_steps_of_volumes_are_not_for_pictures(tmp_path: Path) -> None:
    from tests.tools.tiny_models import save_bundle

    steps = {"preprocessing": {"transforms": VOLUME_STEPS}}
    with pytest.raises(ConfigError, match="by 'Orientationd', which we do not"):
        load_segmenter(str(save_bundle(tmp_path / "bundle", steps)))
