"""Open a DICOM file and check it before anything is decoded."""

import zlib
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from overread.imaging import wording
from overread.imaging.codestream import stated_size
from overread.imaging.dicom_pixels import PIXEL_KEYWORDS, decoder
from overread.imaging.dicom_values import numbers, text, value
from overread.imaging.errors import UnreadableImage
from overread.imaging.limits import MAX_FILE_BYTES

_CHUNK = 1 << 20


def open_dataset(path: Path, stop_before_pixels: bool = False) -> Dataset:
    """Parse a file, with or without preamble and meta information.

    Raises:
        UnreadableImage: It is not DICOM.
        Exception: Whatever pydicom raises; call it inside `reading`.
    """
    try:
        _check_deflated(path)
        return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
    except InvalidDicomError:
        dataset = pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, force=True)
        if "SOPClassUID" not in dataset:
            raise UnreadableImage(f"{path} is not a DICOM file; check what it holds.") from None
        return dataset


def dimensions(path: Path, dataset: Dataset) -> tuple[int, int, int]:
    """Return rows, columns and frames as the header states them.

    Raises:
        UnreadableImage: The object has none (a report, a plan, a directory).
    """
    rows, columns = numbers(dataset, "Rows"), numbers(dataset, "Columns")
    if not rows or not columns:
        kind = wording.modality(text(dataset, "Modality"))
        raise UnreadableImage(
            f"{path} is DICOM without pixel data{'' if kind == 'OT' else f' ({kind})'}; "
            "give an image, not a report, a plan or a directory."
        )
    count = value(dataset, "NumberOfFrames")
    return int(rows[0]), int(columns[0]), 1 if count is None else int(count)


def check_frames(path: Path, dataset: Dataset, shape: tuple[int, int, int]) -> bytes:
    """Return the encoded pixel data after checking that it is all there and is what it states.

    Args:
        path: Named in messages.
        dataset: With its pixels; a missing transfer syntax is supplied.
        shape: Rows, columns, frames.

    Raises:
        UnreadableImage: No pixel data, truncated, in a syntax we cannot decode, or compressed
            frames of another size than the header states.
    """
    keyword = next((k for k in PIXEL_KEYWORDS if dataset.get(k)), None)
    if keyword is None:
        raise UnreadableImage(
            f"{path} holds no pixel data: it is truncated or not an image; copy it again or "
            "choose another."
        )
    _supply_syntax(dataset)
    _check_syntax(path, dataset)
    data: bytes = dataset[keyword].value
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        for frame in generate_frames(data, number_of_frames=shape[2]):
            if stated_size(frame) not in (None, shape[:2]):
                raise UnreadableImage(
                    f"{path} has compressed frames of another size than its header states."
                )
    elif "YBR" not in text(dataset, "PhotometricInterpretation"):
        bits = int(dataset.BitsAllocated) * int(dataset.SamplesPerPixel)
        needed = (shape[0] * shape[1] * shape[2] * bits + 7) // 8
        if len(data) < needed:
            raise UnreadableImage(
                f"{path} is truncated: it holds {len(data):,} of {needed:,} bytes of pixels; "
                "copy the file again."
            )
    return data


def _check_deflated(path: Path) -> None:
    """Inflate a deflated file piece by piece, to see that it does not explode in memory."""
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    start = 128 + 4 + 12 + int(meta.FileMetaInformationGroupLength)
    with path.open("rb") as file:
        file.seek(start)
        while chunk := inflater.unconsumed_tail or file.read(_CHUNK):
            total += len(inflater.decompress(chunk, _CHUNK))
            if total > MAX_FILE_BYTES:
                raise UnreadableImage(f"{path} inflates beyond {MAX_FILE_BYTES:,} bytes.")


def _supply_syntax(dataset: Dataset) -> None:
    """Files without meta information are in the uncompressed syntax that was recognised."""
    if dataset.file_meta.get("TransferSyntaxUID"):
        return
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _check_syntax(path: Path, dataset: Dataset) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax:
        raise UnreadableImage(
            f"{path} is in a private or encrypted transfer syntax; export it again."
        )
    if syntax.is_encapsulated and not decoder(syntax):
        raise UnreadableImage(
            f"{path} is compressed with {syntax.name}, which we cannot decode; "
            "export it uncompressed or as JPEG, JPEG-LS, JPEG 2000 or RLE."
        )
