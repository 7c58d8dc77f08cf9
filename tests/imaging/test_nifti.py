"""NIfTI: orientation, geometry, fourth dimensions."""

from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pytest

from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.render import to_view
from overread.imaging.study import Series

SHAPE = (6, 5, 4)
ZOOMS = (2.0, 3.0, 7.0)


def _marked() -> nibabel.Nifti1Image:
    """Return zeros but for the most left, most anterior, most superior voxel, at RAS (x-, y+, z+).

    In RAS+ the first axis grows towards the patient's right, so "left" is index 0.
    """
    array = np.zeros(SHAPE, np.int16)
    array[0, -1, -1] = 100
    affine = np.diag([*ZOOMS, 1.0])
    affine[:3, 3] = -10, -20, -30
    return nibabel.Nifti1Image(array, affine)


def _read(image: nibabel.Nifti1Image, path: Path, pseudonymiser: Pseudonymiser) -> Series:
    nibabel.save(image, path)
    (study,) = read_studies([path], pseudonymiser)
    (series,) = study.series
    return series


ORIENTATIONS = ("RAS", "LPS", "LAS", "PIR", "SAL", "ASR")


@pytest.mark.parametrize("axes", ORIENTATIONS)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_slices_are_axial_with_left_on_the_right(
    axes: str, name: str, tmp_path: Path, pseudonymiser: Pseudonymiser
) -> None:
    """However the file stores it, the marked voxel is top right in the last slice."""
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(_marked().affine),
        nibabel.orientations.axcodes2ornt(axes),
    )
    series = _read(_marked().as_reoriented(turn), tmp_path / name, pseudonymiser)
    assert len(series.images) == SHAPE[2]
    assert {(i.shape, i.spacing_mm, i.view) for i in series.images} == {
        ((SHAPE[1], SHAPE[0]), (ZOOMS[1], ZOOMS[0]), "axial")
    }
    assert series.slice_spacing_mm == ZOOMS[2]
    stack = np.stack([image.pixels for image in series.images])
    assert np.argwhere(stack == 100).tolist() == [[SHAPE[2] - 1, 0, SHAPE[0] - 1]]


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_affine_takes_column_row_slice_to_the_patient(
    axes: str, tmp_path: Path, pseudonymiser: Pseudonymiser
) -> None:
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(_marked().affine),
        nibabel.orientations.axcodes2ornt(axes),
    )
    series = _read(_marked().as_reoriented(turn), tmp_path / "a.nii", pseudonymiser)
    assert series.affine is not None
    place = series.affine @ [SHAPE[0] - 1, 0, SHAPE[2] - 1, 1]
    expected = _marked().affine @ [0, SHAPE[1] - 1, SHAPE[2] - 1, 1]
    np.testing.assert_allclose(place, expected)


def test_scaling_is_applied(tmp_path: Path, pseudonymiser: Pseudonymiser) -> None:
    image = _marked()
    image.header.set_slope_inter(2.0, -1024.0)
    series = _read(image, tmp_path / "a.nii", pseudonymiser)
    pixels = series.images[-1].pixels
    assert (float(pixels.min()), float(pixels.max())) == (-1024.0, 100 * 2.0 - 1024)


def test_units_become_millimetres(tmp_path: Path, pseudonymiser: Pseudonymiser) -> None:
    image = _marked()
    image.header.set_xyzt_units("micron")
    series = _read(image, tmp_path / "a.nii", pseudonymiser)
    assert series.images[0].spacing_mm == pytest.approx((0.003, 0.002))
    assert series.slice_spacing_mm == pytest.approx(0.007)


def test_times_follow_each_other(tmp_path: Path, pseudonymiser: Pseudonymiser) -> None:
    array = np.zeros((3, 3, 2, 4), np.float32)
    array[...] = np.arange(8).reshape(4, 2).T
    series = _read(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii", pseudonymiser)
    assert [float(image.pixels[0, 0]) for image in series.images] == list(range(8))


def test_flat_and_nifti2_and_rgb_are_read(tmp_path: Path, pseudonymiser: Pseudonymiser) -> None:
    flat = _read(nibabel.Nifti1Image(np.ones((3, 4)), np.eye(4)), tmp_path / "a.nii", pseudonymiser)
    assert flat.images[0].shape == (4, 3) and flat.slice_spacing_mm is None
    assert flat.images[0].view is None
    second = nibabel.Nifti2Image(np.ones((3, 4, 2), np.int16), np.eye(4))
    assert len(_read(second, tmp_path / "b.nii", pseudonymiser).images) == 2
    colour = np.zeros((3, 4, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colour["R"] = 200
    third = _read(nibabel.Nifti1Image(colour, np.eye(4)), tmp_path / "c.nii", pseudonymiser)
    assert third.images[0].pixels[0, 0].tolist() == [200, 0, 0]


def test_real_volume_looks_like_its_reference_picture(
    shared_data: Path, pseudonymiser: Pseudonymiser
) -> None:
    """The pack's pictures were made by others: anterior up, patient left on the right."""
    folder = shared_data / "images" / "pyradiomics"
    (study,) = read_studies([folder / "brain1.nii.gz"], pseudonymiser)
    assert study.images[0].spacing_mm == pytest.approx((0.78125, 0.78125))
    assert study.series[0].slice_spacing_mm == pytest.approx(6.5)
    for index in (3, 12):
        reference = np.asarray(PIL.Image.open(folder / f"brain1_slice{index:02d}.png").convert("L"))
        shown = to_view(study.images[index])[..., 0]
        assert np.corrcoef(reference.ravel(), shown.ravel())[0, 1] > 0.98
