"""Pixels and facts of real DICOM files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement

from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.render import to_view
from overread.imaging.study import Image

Find = Callable[[str], Path]
Save = Callable[..., Path]
ReadOne = Callable[[Path], Image]


def test_ct_is_in_hounsfield_units(real_dicom: Find, read_one: ReadOne) -> None:
    path = real_dicom("CT_small.dcm")
    image = read_one(path)
    stored = dcmread(path).pixel_array.astype(np.int32)
    assert (image.modality, image.view, image.shape) == ("CT", "axial", (128, 128))
    assert image.pixels.dtype == np.float32
    np.testing.assert_array_equal(image.pixels, stored - 1024)
    assert image.spacing_mm == pytest.approx((0.661468, 0.661468))


LOSSLESS = {
    "MR_small.dcm": (
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_padded.dcm",
    ),
    "SC_rgb.dcm": ("SC_rgb_rle.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_expb.dcm"),
    "OBXXXX1A.dcm": ("OBXXXX1A_rle.dcm", "OBXXXX1A_expb.dcm"),
    "RG1_UNCR.dcm": ("RG1_J2KR.dcm",),
    "US1_UNCR.dcm": ("US1_J2KR.dcm", "examples_jpeg2k.dcm"),
}


@pytest.mark.parametrize(
    ("plain", "coded"), [(plain, coded) for plain, many in LOSSLESS.items() for coded in many]
)
def test_lossless_syntaxes_give_the_pixels_of_the_plain_file(
    plain: str, coded: str, real_dicom: Find, read_one: ReadOne
) -> None:
    expected, image = read_one(real_dicom(plain)), read_one(real_dicom(coded))
    assert (image.spacing_mm, image.window) == (expected.spacing_mm, expected.window)
    np.testing.assert_array_equal(image.pixels, expected.pixels)


@pytest.mark.parametrize(
    ("plain", "coded"),
    [
        ("RG1_UNCR.dcm", "RG1_J2KI.dcm"),
        ("MR2_UNCR.dcm", "MR2_J2KI.dcm"),
        ("SC_rgb.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm"),
    ],
)
def test_lossy_syntaxes_are_close_to_the_plain_file(
    plain: str, coded: str, real_dicom: Find, read_one: ReadOne
) -> None:
    expected = read_one(real_dicom(plain)).pixels.astype(float)
    error = np.abs(read_one(real_dicom(coded)).pixels - expected).mean()
    assert error < 0.02 * np.ptp(expected)


@pytest.mark.parametrize(
    "name",
    ["JPEGLSNearLossless_16.dcm", "JPGExtended.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG-LL.dcm"],
)
def test_further_syntaxes_decode(name: str, real_dicom: Find, read_one: ReadOne) -> None:
    assert np.ptp(read_one(real_dicom(name)).pixels) > 0


def test_deflated_file_is_read(real_dicom: Find, read_one: ReadOne) -> None:
    assert read_one(real_dicom("image_dfl.dcm")).shape == (512, 512)


def test_monochrome1_is_shown_inverted(dataset: Dataset, save: Save, read_one: ReadOne) -> None:
    dataset.WindowCenter, dataset.WindowWidth = 0, 2000
    plain = read_one(save(dataset, "a/plain.dcm"))
    dataset.PhotometricInterpretation = "MONOCHROME1"
    inverted = read_one(save(dataset, "b/inverted.dcm"))
    assert inverted.inverted and not plain.inverted
    np.testing.assert_array_equal(inverted.pixels, plain.pixels)
    total = to_view(inverted).astype(int) + to_view(plain)
    assert total.min() >= 254 and total.max() <= 256


def test_palette_becomes_rgb(real_dicom: Find, read_one: ReadOne) -> None:
    image = read_one(real_dicom("examples_palette.dcm"))
    assert image.is_colour and image.pixels.dtype == np.uint8
    banner = image.pixels[10, 400].astype(int)
    assert banner[2] > banner[0] + 20, "the banner of this picture is blue"


def test_rgb_of_sixteen_bits_is_scaled(real_dicom: Find, read_one: ReadOne) -> None:
    eight = read_one(real_dicom("SC_rgb_rle.dcm"))
    sixteen = read_one(real_dicom("SC_rgb_rle_16bit.dcm"))
    np.testing.assert_array_equal(sixteen.pixels, eight.pixels)


def test_multi_frame_has_frames_in_order(real_dicom: Find, pseudonymiser: Pseudonymiser) -> None:
    (study,) = read_studies([real_dicom("examples_ybr_color.dcm")], pseudonymiser)
    assert [image.ref.frame for image in study.images] == list(range(30))
    assert len({image.ref.instance for image in study.images}) == 1
    assert study.series[0].slice_spacing_mm is None
    assert all(image.is_colour for image in study.images)


def test_enhanced_image_reads_its_functional_groups(
    dataset: Dataset, save: Save, pseudonymiser: Pseudonymiser
) -> None:
    _make_enhanced(dataset)
    (study,) = read_studies([save(dataset)], pseudonymiser)
    (series,) = study.series
    assert [image.ref.frame for image in series.images] == [2, 1, 0], "the file runs downwards"
    assert series.slice_spacing_mm == pytest.approx(4.0)
    assert series.images[0].spacing_mm == (0.5, 0.25)
    assert series.images[0].window == (1.0, 2.0)
    assert float(series.images[0].pixels[0, 0]) == 2 * 10.0 + 1


def _make_enhanced(dataset: Dataset) -> None:
    """Make three frames at z = 8, 4, 0 whose geometry is in functional groups."""
    for keyword in ("ImagePositionPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        del dataset[keyword]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = 3, 2, 2
    dataset.PixelData = np.repeat([0, 5, 10], 4).astype("<i2").tobytes()
    shared, measures, values, window = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.5, 0.25]
    values.RescaleSlope, values.RescaleIntercept = 2, 1
    window.WindowCenter, window.WindowWidth = 1, 2
    shared.PixelMeasuresSequence = [measures]
    shared.PixelValueTransformationSequence = [values]
    shared.FrameVOILUTSequence = [window]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = []
    for z in (8, 4, 0):
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, z]
        frame.PlanePositionSequence = [place]
        dataset.PerFrameFunctionalGroupsSequence.append(frame)


def test_copies_are_read_once_and_a_reused_uid_is_not_lost(
    dataset: Dataset, save: Save, pseudonymiser: Pseudonymiser, tmp_path: Path
) -> None:
    save(dataset, "export/a.dcm")
    save(dataset, "export/copy of a.dcm")
    dataset.PixelData = bytes(len(dataset.PixelData))
    save(dataset, "export/other pixels, same uid.dcm")
    (study,) = read_studies([tmp_path / "export"], pseudonymiser)
    assert len(study.images) == 2
    assert len({image.ref for image in study.images}) == 2


def test_references_are_stable_and_depend_on_the_secret(real_dicom: Find, tmp_path: Path) -> None:
    path = real_dicom("CT_small.dcm")
    first, again, other = (
        read_studies([path], Pseudonymiser(tmp_path / name))[0] for name in ("a", "a", "b")
    )
    assert [i.ref for i in first.images] == [i.ref for i in again.images]
    assert first.patient_id == again.patient_id
    assert {first.id, first.patient_id}.isdisjoint({other.id, other.patient_id})


def test_malformed_details_do_not_cost_the_image(
    dataset: Dataset, save: Save, read_one: ReadOne
) -> None:
    for keyword, vr, value in (("SliceThickness", "LO", "5,0 mm"), ("PatientAge", "LO", "old")):
        dataset[keyword] = DataElement(dataset[keyword].tag, vr, value)
    assert read_one(save(dataset)).shape == (128, 128)


@pytest.mark.parametrize(
    ("stated", "birth", "expected"),
    [
        ("045Y", "", 45.0),
        ("006M", "", 0.5),
        ("097Y", "", 90.0),
        ("000Y", "", None),
        ("forty", "", None),
        ("", "19640118", 40.0),
        ("", "19640120", 39.0),
        ("", "99999999", None),
    ],
)
def test_age_is_in_years_and_capped(
    stated: str,
    birth: str,
    expected: float | None,
    dataset: Dataset,
    save: Save,
    pseudonymiser: Pseudonymiser,
) -> None:
    dataset.StudyDate = "20040119"
    dataset.PatientAge, dataset.PatientBirthDate = stated, birth
    (study,) = read_studies([save(dataset)], pseudonymiser)
    assert study.age == expected


def test_modality_lut_is_applied(real_dicom: Find, read_one: ReadOne) -> None:
    path = real_dicom("mlut_18.dcm")
    dataset = dcmread(path)
    (table,) = dataset.ModalityLUTSequence
    entries, first, _ = table.LUTDescriptor
    values = np.asarray(table.LUTData)
    index = np.clip(dataset.pixel_array.astype(int) - first, 0, entries - 1)
    np.testing.assert_array_equal(read_one(path).pixels, values[index])


def test_voi_lut_sets_the_window(real_dicom: Find, read_one: ReadOne) -> None:
    path = real_dicom("vlut_04.dcm")
    entries, first, _ = dcmread(path).VOILUTSequence[0].LUTDescriptor
    assert read_one(path).window == (first + entries / 2, entries)


def test_body_part_comes_from_codes_and_words(
    dataset: Dataset, save: Save, read_one: ReadOne
) -> None:
    assert read_one(save(dataset, "none.dcm")).body_part is None
    dataset.StudyDescription = "CT ABD/PELVIS W CONTRAST"
    assert read_one(save(dataset, "words.dcm")).body_part == "abdomen"
    dataset.BodyPartExamined = "THORAX"
    assert read_one(save(dataset, "code.dcm")).body_part == "chest"
