"""The real medical images that installed packages hold, as the recipes learn from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.study import Image
from overread.index.demo import real_rows


@dataclass(frozen=True, slots=True, eq=False)
class Packaged:
    """One image: the middle one of its file.

    Attributes:
        image: It.
        modality, body_part: As the packages' manifest says, else as the file does; "" if neither.
        row: Of the manifest (`overread.index.demo.real_rows`).
    """

    image: Image
    modality: str
    body_part: str
    row: dict[str, Any]


def packaged_images() -> Iterator[Packaged]:
    """Yield all of them, in a fixed order."""
    with TemporaryDirectory() as secret:
        pseudonymiser = Pseudonymiser(Path(secret) / "secret")
        for row in real_rows():
            images = read_studies([Path(row["path"])], pseudonymiser)[0].images
            image = images[len(images) // 2]
            modality = str(row.get("modality") or image.modality)
            body_part = str(row.get("body_part") or image.body_part or "")
            yield Packaged(image, modality, body_part, row)
