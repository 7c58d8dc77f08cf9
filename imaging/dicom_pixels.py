"""Frames of a DICOM dataset in modality units. Knows pixels, not patients or files."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, get_decoder, iter_pixels
from pydicom.uid import UID, RLELossless

from overread.imaging.dicom_values import as_numbers, functional, items, numbers, text
from overread.imaging.study import Pixels

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

_LIBRARY = "pylibjpeg"
_RLE_DECODER = "pydicom"
"""Pylibjpeg's RLE decoder panics on damaged frames, past every `except Exception`."""


def decoder(syntax: UID) -> str:
    """Return the plugin to decode with, "" if none can; naming it makes results reproducible."""
    plugin = _RLE_DECODER if syntax == RLELossless else _LIBRARY
    try:
        return plugin if plugin in get_decoder(syntax).available_plugins else ""
    except NotImplementedError:
        return ""


def frames(dataset: Dataset) -> Iterator[Pixels]:
    """Yield each frame: float32 (rows, columns) in modality units, or uint8 RGB.

    YBR becomes RGB, palettes are applied, the modality LUT or rescale is applied; MONOCHROME1
    is left as it is (showing it inverted is the viewer's work).
    """
    is_palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    if is_palette and not dataset.original_encoding[1]:
        _swap_palettes(dataset)
    plugin = decoder(dataset.file_meta.TransferSyntaxUID)
    for number, raw in enumerate(iter_pixels(dataset, decoding_plugin=plugin)):
        if is_palette:
            yield _eight_bit(apply_color_lut(raw, dataset), 16)
        elif raw.ndim == 3:
            yield _eight_bit(raw, int(dataset.BitsStored))
        else:
            yield _rescaled(dataset, raw, number)


def window(dataset: Dataset, frame: int) -> tuple[float, float] | None:
    """Return the first VOI window (centre, width) in modality units, or None.

    A VOI LUT is represented by the window over its input range.

    Source: DICOM PS3.3, C.11.2.
    """
    group = "FrameVOILUTSequence"
    for centre, width in (
        (
            as_numbers(functional(dataset, frame, group, "WindowCenter")),
            as_numbers(functional(dataset, frame, group, "WindowWidth")),
        ),
        (numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")),
    ):
        if centre and width and width[0] >= 1:
            return centre[0], width[0]
    for table in items(dataset, "VOILUTSequence")[:1]:
        descriptor = numbers(table, "LUTDescriptor")
        if len(descriptor) == 3:
            entries = descriptor[0] or 65536.0
            return descriptor[1] + entries / 2, entries
    return None


def is_inverted(dataset: Dataset) -> bool:
    """Whether low values are to be shown white (DICOM PS3.3, C.7.6.3.1.2 and C.11.6)."""
    return (
        dataset.PhotometricInterpretation == "MONOCHROME1"
        or text(dataset, "PresentationLUTShape") == "INVERSE"
    )


def _rescaled(dataset: Dataset, raw: NDArray, frame: int) -> NDArray[np.float32]:
    """Apply the rescale of the frame's functional group, or the dataset's modality LUT."""
    group = "PixelValueTransformationSequence"
    slope = as_numbers(functional(dataset, frame, group, "RescaleSlope"))
    if slope:
        intercept = as_numbers(functional(dataset, frame, group, "RescaleIntercept")) or [0.0]
        return (raw.astype(np.float64) * slope[0] + intercept[0]).astype(np.float32)
    return np.ascontiguousarray(apply_modality_lut(raw, dataset), dtype=np.float32)


def _eight_bit(colour: NDArray, bits: int) -> NDArray[np.uint8]:
    """Scale an RGB array of `bits` significant bits to 8."""
    if colour.dtype != np.uint8:
        colour = colour.astype(np.uint64) >> max(bits - 8, 0)
    return np.array(colour[..., :3], dtype=np.uint8)


def _swap_palettes(dataset: Dataset) -> None:
    """Turn big-endian palettes round: pydicom reads them as little-endian."""
    for colour in ("Red", "Green", "Blue"):
        keyword = f"{colour}PaletteColorLookupTableData"
        if isinstance(data := dataset.get(keyword), bytes):
            dataset[keyword].value = np.frombuffer(data, ">u2").astype("<u2").tobytes()
