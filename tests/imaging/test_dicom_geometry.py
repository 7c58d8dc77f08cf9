"""Order of slices and calibration of pixels, in DICOM files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from overread.imaging.plane import along_normal
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.study import Image, Series

Find = Callable[[str], Path]
Save = Callable[..., Path]
ReadOne = Callable[[Path], Image]


def test_series_is_ordered_along_the_normal(
    dataset: Dataset, save: Save, pseudonymiser: Pseudonymiser, tmp_path: Path
) -> None:
    """Names and instance numbers disagree with the positions on purpose."""
    places = {3: "a", 0: "b", 4: "c", 1: "d", 2: "e"}
    for number, (place, name) in enumerate(places.items()):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.InstanceNumber = number
        dataset.ImagePositionPatient = [-158.0, -179.0, -75.0 + 2.5 * place]
        dataset.PixelData = np.full((128, 128), place, "<i2").tobytes()
        save(dataset, f"series/{name}.dcm")
    (study,) = read_studies([tmp_path / "series"], pseudonymiser)
    (series,) = study.series
    assert [int(image.pixels[0, 0]) + 1024 for image in series.images] == [0, 1, 2, 3, 4]
    assert series.slice_spacing_mm == pytest.approx(2.5)
    assert len({str(image.ref) for image in series.images}) == 5


def slices_at(
    heights: list[float],
    across: float,
    dataset: Dataset,
    save: Save,
    pseudonymiser: Pseudonymiser,
) -> Series:
    """Return a series whose row direction is so long."""
    dataset.ImageOrientationPatient = [across, 0, 0, 0, 0.8, 0.6]
    for number, height in enumerate(heights):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.ImagePositionPatient = [-158.0, -179.0 - 0.6 * height, -75.0 + 0.8 * height]
        path = save(dataset, f"slices/{number}.dcm")
    (study,) = read_studies([path.parent], pseudonymiser)
    return study.series[0]


def test_uneven_slices_keep_their_places(
    dataset: Dataset, save: Save, pseudonymiser: Pseudonymiser
) -> None:
    heights = [0.0, 2.0, 4.0, 9.0, 11.5]
    series = slices_at(heights, 1.0, dataset, save, pseudonymiser)
    assert series.slice_spacing_mm == pytest.approx(2.25)
    places = along_normal([image.plane for image in series.images], 2.25)
    assert places - places[0] == pytest.approx(heights)


@pytest.mark.parametrize(
    ("heights", "step"), [([0.0, 2.0, 4.0, 6.0], 2.0), ([0.0, 2.0, 4.0, 9.0], None)]
)
def test_slices_without_a_sound_plane_have_a_spacing_where_it_is_even(
    heights: list[float],
    step: float | None,
    dataset: Dataset,
    save: Save,
    pseudonymiser: Pseudonymiser,
) -> None:
    series = slices_at(heights, 1.01, dataset, save, pseudonymiser)
    assert all(image.plane is None for image in series.images)
    assert series.slice_spacing_mm == (None if step is None else pytest.approx(step))


def test_planes_of_one_series_are_kept_apart(
    dataset: Dataset, save: Save, pseudonymiser: Pseudonymiser, tmp_path: Path
) -> None:
    for name, orientation in {"a": [1, 0, 0, 0, 1, 0], "b": [1, 0, 0, 0, 0, -1]}.items():
        dataset.SOPInstanceUID = generate_uid()
        dataset.ImageOrientationPatient = orientation
        save(dataset, f"localiser/{name}.dcm")
    (study,) = read_studies([tmp_path / "localiser"], pseudonymiser)
    assert sorted(str(series.images[0].view) for series in study.series) == ["axial", "coronal"]


SPACINGS: tuple[tuple[dict[str, object], tuple[float, float] | None], ...] = (
    ({"PixelSpacing": [0.2, 0.5], "ImagerPixelSpacing": [1, 1]}, (0.2, 0.5)),
    ({"ImagerPixelSpacing": [0.3, 0.4]}, (0.3, 0.4)),
    (
        {"ImagerPixelSpacing": [0.3, 0.6], "EstimatedRadiographicMagnificationFactor": 1.5},
        (0.2, 0.4),
    ),
    ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
    ({"PixelSpacing": [0, 0.5]}, None),
    ({}, None),
)


@pytest.mark.parametrize(("attributes", "expected"), SPACINGS)
def test_spacing_comes_from_the_best_calibration(
    attributes: dict[str, object],
    expected: tuple[float, float] | None,
    dataset: Dataset,
    save: Save,
    read_one: ReadOne,
) -> None:
    del dataset.PixelSpacing
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    spacing = read_one(save(dataset)).spacing_mm
    assert spacing is None if expected is None else spacing == pytest.approx(expected)


def test_ultrasound_region_gives_spacing_and_keeps_margins_out(
    real_dicom: Find, pseudonymiser: Pseudonymiser
) -> None:
    path = real_dicom("OBXXXX1A.dcm")
    (study,) = read_studies([path], pseudonymiser)
    (image,) = study.images
    assert image.spacing_mm == pytest.approx((0.26228787661969977, 0.26228787661969977))
    assert study.header["series"][0]["margins_blanked"] is True
    assert image.pixels[:60].max() == 0, "the banner with hospital and date is above the region"
    assert image.pixels[60:519, 120:800].max() > 200


def test_regions_of_another_image_size_are_ignored(real_dicom: Find, read_one: ReadOne) -> None:
    image = read_one(real_dicom("examples_palette.dcm"))
    assert image.spacing_mm is None
    assert image.pixels[:60].max() > 0
