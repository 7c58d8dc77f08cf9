"""DICOM that cannot or must not be decoded is refused with one sentence."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from overread.imaging.errors import UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies, scan


def _without_pixels(dataset: Dataset) -> None:
    del dataset.PixelData


def _truncated(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[:-2]


def _too_many_rows(dataset: Dataset) -> None:
    dataset.Rows = dataset.Columns = 60_000


def _too_many_frames(dataset: Dataset) -> None:
    dataset.NumberOfFrames = 2_000_000_000


def _no_frames(dataset: Dataset) -> None:
    dataset.NumberOfFrames = 0


def _no_rows(dataset: Dataset) -> None:
    dataset.Rows = 0


def _report(dataset: Dataset) -> None:
    for keyword in ("PixelData", "Rows", "Columns"):
        del dataset[keyword]


def _encrypted(dataset: Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = "1.3.6.1.4.1.99999.1"


def _mpeg(dataset: Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    dataset.PixelData = encapsulate([bytes(100)])
    dataset["PixelData"].VR = "OB"


def _bomb_frame(dataset: Dataset) -> None:
    """Hide a JPEG 2000 frame that states 60,000 x 60,000 behind a small header."""
    size = b"\xff\x51\x00\x29\x00\x00" + struct.pack(">8I", 60_000, 60_000, 0, 0, 9, 9, 0, 0)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([b"\xff\x4f" + size + bytes(50)])
    dataset["PixelData"].VR = "OB"


def _not_finite(dataset: Dataset) -> None:
    del dataset.PixelData
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = np.full((128, 128), np.nan, np.float32).tobytes()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_pixels, "no pixel data"),
        (_truncated, "truncated: it holds 32,766 of 32,768 bytes"),
        (_too_many_rows, "limit is 100,000,000 per image"),
        (_too_many_frames, "limit is 5,000"),
        (_no_frames, "no pixels"),
        (_no_rows, "no pixels"),
        (_report, "without pixel data"),
        (_encrypted, "private or encrypted transfer syntax"),
        (_mpeg, "MPEG-4 AVC/H.264"),
        (_bomb_frame, "another size than its header"),
        (_not_finite, "not finite"),
    ],
)
def test_dicom_refused_with_one_sentence(
    spoil: Callable[[Dataset], None],
    words: str,
    dataset: Dataset,
    save: Callable[..., Path],
    pseudonymiser: Pseudonymiser,
) -> None:
    spoil(dataset)
    path = save(dataset, "spoilt.dcm")
    with pytest.raises(UnreadableImage, match=words) as caught:
        read_studies([path], pseudonymiser)
    assert str(path) in str(caught.value)
    assert "CompressedSamples" not in str(caught.value), "the patient's name is not quoted"


@pytest.mark.parametrize("name", ["JPEG2000-embedded-sequence-delimiter.dcm", "rtplan.dcm"])
def test_real_files_that_are_no_images_are_refused(
    name: str, real_dicom: Callable[[str], Path], pseudonymiser: Pseudonymiser
) -> None:
    with pytest.raises(UnreadableImage):
        read_studies([real_dicom(name)], pseudonymiser)


def test_truncated_dicom_is_refused(
    real_dicom: Callable[[str], Path], tmp_path: Path, pseudonymiser: Pseudonymiser
) -> None:
    for name in ("CT_small.dcm", "SC_rgb_jpeg_gdcm.dcm", "MR_small_RLE.dcm"):
        data = real_dicom(name).read_bytes()
        path = tmp_path / name
        path.write_bytes(data[: len(data) * 3 // 4])
        with pytest.raises(UnreadableImage):
            read_studies([path], pseudonymiser)


def test_deflated_bomb_is_refused(
    real_dicom: Callable[[str], Path],
    tmp_path: Path,
    pseudonymiser: Pseudonymiser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = real_dicom("image_dfl.dcm")
    assert scan([path], pseudonymiser).studies
    monkeypatch.setattr("overread.imaging.dicom_file.MAX_FILE_BYTES", 10_000)
    with pytest.raises(UnreadableImage, match="inflates"):
        scan([path], pseudonymiser)


def test_file_over_the_limit_is_refused(
    real_dicom: Callable[[str], Path],
    pseudonymiser: Pseudonymiser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("overread.imaging.limits.MAX_FILE_BYTES", 1000)
    with pytest.raises(UnreadableImage, match="GiB"):
        scan([real_dicom("CT_small.dcm")], pseudonymiser)


def test_the_bundled_file_is_sound(real_dicom: Callable[[str], Path]) -> None:
    """Guard the tests above: what they spoil can be read before."""
    assert len(dcmread(real_dicom("CT_small.dcm")).PixelData) == 32_768
