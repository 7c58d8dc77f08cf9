"""Whatever cannot be read is refused with one sentence that names the file, and nothing else."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pytest

from overread.imaging.errors import InputError, UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies

Make = Callable[[Path], Path]


def _text(folder: Path) -> Path:
    path = folder / "notes.dcm"
    path.write_text("This is not a medical image.\n" * 20)
    return path


def _empty(folder: Path) -> Path:
    (folder / "empty.png").touch()
    return folder / "empty.png"


def _bomb_png(folder: Path) -> Path:
    """State 30,000 x 30,000 pixels in a file of a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    path = folder / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )
    return path


def _large_png(folder: Path) -> Path:
    """State more pixels than our limit and fewer than Pillow's."""
    path = folder / "large.png"
    PIL.Image.new("1", (12_000, 9_000)).save(path)
    return path


def _nifti(folder: Path, array: np.ndarray, name: str = "volume.nii.gz") -> Path:
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / name)
    return folder / name


def _nan_nifti(folder: Path) -> Path:
    array = np.zeros((4, 4, 4), np.float32)
    array[1, 2, 3] = np.nan
    return _nifti(folder, array)


def _complex_nifti(folder: Path) -> Path:
    return _nifti(folder, np.zeros((4, 4, 4), np.complex64))


def _bomb_nifti(folder: Path) -> Path:
    path = _nifti(folder, np.zeros((4, 4, 4), np.uint8), "bomb.nii")
    data = bytearray(path.read_bytes())
    struct.pack_into("<4h", data, 40, 3, 32_000, 32_000, 32_000)
    path.write_bytes(data)
    return path


def _truncated_nifti(folder: Path) -> Path:
    path = _nifti(folder, np.random.default_rng(0).integers(0, 9, (9, 9, 9)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:-300])
    return path


def _gif(folder: Path) -> Path:
    frames = [PIL.Image.new("L", (8, 8), value) for value in (0, 128, 255)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    return folder / "animated.gif"


def _animated_png(folder: Path) -> Path:
    frames = [PIL.Image.new("L", (8, 8), value) for value in (0, 128, 255)]
    frames[0].save(folder / "animated.png", save_all=True, append_images=frames[1:])
    return folder / "animated.png"


def _truncated_png(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    PIL.Image.fromarray(noise).save(folder / "cut.png")
    data = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(data[: len(data) // 2])
    return folder / "cut.png"


def _infinite_tiff(folder: Path) -> Path:
    PIL.Image.fromarray(np.full((4, 4), np.inf, np.float32)).save(folder / "infinite.tif")
    return folder / "infinite.tif"


def _missing(folder: Path) -> Path:
    return folder / "no such file.dcm"


def _folder_without_images(folder: Path) -> Path:
    (folder / "papers").mkdir()
    (folder / "papers" / "readme.txt").write_text("hello")
    return folder / "papers"


def _empty_folder(folder: Path) -> Path:
    (folder / "nothing").mkdir()
    return folder / "nothing"


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.dcm")
    return folder / "pipe.dcm"


def _unknown(folder: Path) -> Path:
    (folder / "table.csv").write_text("a,b\n1,2\n")
    return folder / "table.csv"


def _broken_video(folder: Path) -> Path:
    (folder / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(400))
    return folder / "clip.mp4"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_text, "not a DICOM file"),
        (_empty, "0 bytes"),
        (_bomb_png, "decompression bomb"),
        (_large_png, "limit is 100,000,000"),
        (_nan_nifti, "not finite"),
        (_complex_nifti, "complex"),
        (_bomb_nifti, "limit"),
        (_truncated_nifti, "damaged"),
        (_gif, "GIF"),
        (_animated_png, "animated"),
        (_truncated_png, "damaged"),
        (_infinite_tiff, "not finite"),
        (_missing, "does not exist"),
        (_folder_without_images, "No image in"),
        (_empty_folder, "No image in"),
        (_fifo, "not a regular file"),
        (_unknown, "not an image we know"),
        (_broken_video, "damaged"),
    ],
)
def test_refused_with_one_sentence(
    make: Make, words: str, tmp_path: Path, pseudonymiser: Pseudonymiser
) -> None:
    path = make(tmp_path)
    with pytest.raises(UnreadableImage, match=words) as caught:
        read_studies([path], pseudonymiser)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message and message.endswith(".")
    assert caught.value.exit_code == InputError.exit_code == 2


@pytest.mark.parametrize(
    "url", ["https://example.org/scan.dcm", "http://a/b", "file:///etc/passwd", "s3://bucket/x.dcm"]
)
def test_url_is_refused(url: str, pseudonymiser: Pseudonymiser) -> None:
    with pytest.raises(UnreadableImage, match="URL"):
        read_studies([Path(url)], pseudonymiser)


def test_nothing_given_is_refused(pseudonymiser: Pseudonymiser) -> None:
    with pytest.raises(UnreadableImage, match="No image was given"):
        read_studies([], pseudonymiser)
