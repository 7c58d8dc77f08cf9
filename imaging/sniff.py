"""Tell what a file is from its first bytes. Names and suffixes lie."""

import zlib
from enum import Enum
from pathlib import Path

_HEAD = 4096


class Kind(Enum):
    """What a file holds; the values are words for messages."""

    DICOM = "DICOM"
    NIFTI = "NIfTI"
    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"
    MP4 = "mov"
    WEBM = "matroska"
    AVI = "avi"
    UNSUPPORTED = "unsupported"
    OTHER = "other"


RASTERS = (Kind.PNG, Kind.JPEG, Kind.TIFF)
VIDEOS = (Kind.MP4, Kind.WEBM, Kind.AVI)

_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (128, b"DICM", Kind.DICOM),
    (0, b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (0, b"\xff\xd8\xff", Kind.JPEG),
    (0, b"II*\0", Kind.TIFF),
    (0, b"MM\0*", Kind.TIFF),
    (0, b"II+\0", Kind.TIFF),
    (0, b"MM\0+", Kind.TIFF),
    (4, b"ftyp", Kind.MP4),
    (0, b"\x1aE\xdf\xa3", Kind.WEBM),
    (0, b"GIF8", Kind.UNSUPPORTED),
    (8, b"WEBP", Kind.UNSUPPORTED),
    (0, b"BM", Kind.UNSUPPORTED),
    (0, b"\0\0\0\x0cjP  ", Kind.UNSUPPORTED),
)

_SUFFIXES = {
    ".dcm": Kind.DICOM, ".dicom": Kind.DICOM, ".ima": Kind.DICOM, ".nii": Kind.NIFTI,
    ".png": Kind.PNG, ".jpg": Kind.JPEG, ".jpeg": Kind.JPEG, ".tif": Kind.TIFF,
    ".tiff": Kind.TIFF, ".mp4": Kind.MP4, ".mov": Kind.MP4, ".m4v": Kind.MP4,
    ".webm": Kind.WEBM, ".mkv": Kind.WEBM, ".avi": Kind.AVI, ".gif": Kind.UNSUPPORTED,
    ".webp": Kind.UNSUPPORTED, ".bmp": Kind.UNSUPPORTED, ".heic": Kind.UNSUPPORTED,
}  # fmt: skip

_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"avif", b"msf1")
_DICOM_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")


def kind_of(path: Path) -> Kind:
    """Return what the content says.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return kind_of_bytes(file.read(_HEAD))


def kind_of_bytes(data: bytes) -> Kind:
    """Return what content says of which at least the first 4 KiB are there, if it has as many.

    >>> kind_of_bytes(b"%PDF")
    <Kind.OTHER: 'other'>
    """
    head = data[:_HEAD]
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            if kind is Kind.MP4 and head[8:12] in _HEIF_BRANDS:
                return Kind.UNSUPPORTED
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Kind.AVI
    if _is_nifti(head) or (head[:2] == b"\x1f\x8b" and _is_nifti(_unzip(head))):
        return Kind.NIFTI
    if head[:4] == b"\x08\x00\x05\x00" or (head[:2] in _DICOM_GROUPS and head[4:6].isalpha()):
        return Kind.DICOM
    return Kind.OTHER


def named_kind(path: Path) -> Kind:
    """Return what the name promises, `Kind.OTHER` if nothing."""
    name = path.name.lower()
    return (
        Kind.NIFTI if name.endswith(".nii.gz") else _SUFFIXES.get(path.suffix.lower(), Kind.OTHER)
    )


def _is_nifti(head: bytes) -> bool:
    """Check the stated header size and the magic (NIfTI-1 and NIfTI-2, single file)."""
    size = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    return (348 in size and head[344:347] in (b"n+1", b"ni1")) or (
        540 in size and head[4:7] in (b"n+2", b"ni2")
    )


def _unzip(head: bytes) -> bytes:
    """Inflate the beginning of a gzip stream; b"" if it is not one."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, 1024)
    except zlib.error:
        return b""
