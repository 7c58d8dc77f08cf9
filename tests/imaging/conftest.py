"""Real DICOM files that come inside packages, and what the readers need."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.study import Image


@pytest.fixture
def pseudonymiser(tmp_path: Path) -> Pseudonymiser:
    return Pseudonymiser(tmp_path / "secret" / "key")


@pytest.fixture
def real_dicom() -> Callable[[str], Path]:
    """Return the path of a file of pydicom, or of the optional package pydicom-data."""

    def find(name: str) -> Path:
        path = get_testdata_file(name, download=False)
        if path is None:
            pytest.skip(f"{name} needs the package pydicom-data")
        return Path(str(path))

    return find


@pytest.fixture
def dataset(real_dicom: Callable[[str], Path]) -> Dataset:
    """Return an uncompressed CT slice of 128 x 128 to be changed and saved."""
    return dcmread(real_dicom("CT_small.dcm"))


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def to_file(dataset: Dataset, name: str = "image.dcm") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path)
        return path

    return to_file


@pytest.fixture
def read_one(pseudonymiser: Pseudonymiser) -> Callable[[Path], Image]:
    """Return a reader of the single image of a file."""

    def read(path: Path) -> Image:
        (study,) = read_studies([path], pseudonymiser)
        (image,) = study.images
        return image

    return read
