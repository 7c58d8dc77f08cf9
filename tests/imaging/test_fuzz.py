"""Hostile bytes: a mutated or truncated file gives a study or `UnreadableImage`, nothing else."""

import io
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from overread.imaging.errors import UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies

NOISE = np.random.default_rng(0).integers(0, 255, (24, 20, 3), np.uint8)


def _dicom(name: str) -> bytes:
    return Path(str(get_testdata_file(name, download=False))).read_bytes()


def _picture(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(NOISE).save(buffer, kind, **options)
    return buffer.getvalue()


def _nifti() -> bytes:
    return nibabel.Nifti1Image(NOISE.astype(np.int16), np.eye(4)).to_bytes()


SEEDS: dict[str, Callable[[], bytes]] = {
    "explicit.dcm": lambda: _dicom("CT_small.dcm"),
    "implicit.dcm": lambda: _dicom("MR_small_implicit.dcm"),
    "rle.dcm": lambda: _dicom("MR_small_RLE.dcm"),
    "jls.dcm": lambda: _dicom("MR_small_jpeg_ls_lossless.dcm"),
    "j2k.dcm": lambda: _dicom("MR_small_jp2klossless.dcm"),
    "jpeg.dcm": lambda: _dicom("SC_rgb_jpeg_dcmtk.dcm"),
    "palette.dcm": lambda: _dicom("examples_palette.dcm"),
    "deflated.dcm": lambda: _dicom("image_dfl.dcm"),
    "a.png": lambda: _picture("PNG"),
    "a.jpg": lambda: _picture("JPEG"),
    "a.tif": lambda: _picture("TIFF"),
    "lzw.tif": lambda: _picture("TIFF", compression="tiff_lzw"),
    "a.nii": _nifti,
}

# Where (0 to 1, headers hit as often as the rest), and what is written there.
places = st.floats(0, 1) | st.floats(0, 1).map(lambda x: x**4)
edits = st.lists(
    st.tuples(places, st.binary(min_size=1, max_size=4) | st.just(b"\xff\xff\xff\xff")),
    min_size=0,
    max_size=12,
)


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=edits, length=st.none() | st.floats(0, 1))
def test_mutations_are_read_or_refused(
    name: str,
    edits: list[tuple[float, bytes]],
    length: float | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = bytearray(SEEDS[name]())
    for place, value in edits:
        at = int(place * (len(data) - 1))
        data[at : at + len(value)] = value
    if length is not None:
        del data[int(length * len(data)) :]
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / name
    path.write_bytes(data)
    try:
        studies = read_studies([path], Pseudonymiser(folder / "key"))
    except UnreadableImage as error:
        assert str(path) in str(error)
    else:
        assert all(np.isfinite(image.pixels).all() for s in studies for image in s.images)
    path.unlink()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=600), name=st.sampled_from(["a", "a.dcm", "a.nii.gz", "a.mp4"]))
def test_random_bytes_are_refused(
    data: bytes, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("random") / name
    path.write_bytes(data)
    with pytest.raises(UnreadableImage):
        read_studies([path], Pseudonymiser(path.parent / "key"))
