"""Small pictures inside a page. What cannot be shown is said, never left out silently."""

import base64
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

from overread.imaging.errors import InputError
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.render import for_planner

SIDE = 224
_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One picture, or the reason why there is none.

    Attributes:
        url: A JPEG as `data:` URL; "" when it cannot be shown.
        problem: Why not. Names no path: file names may identify a patient.
    """

    url: str
    problem: str = ""


class Thumbnails:
    """Reads images as the product does (de-identified) and shrinks them; each file once."""

    def __init__(self) -> None:
        """Start with none."""
        self._made: dict[Path, Thumbnail] = {}

    def of(self, image: str) -> Thumbnail:
        """Return the picture of a file; of a volume or a video, its middle image."""
        path = Path(image)
        if path not in self._made:
            self._made[path] = _make(path)
        return self._made[path]


def _make(path: Path) -> Thumbnail:
    if not path.is_file():
        return Thumbnail("", "image no longer there")
    with tempfile.TemporaryDirectory() as folder:
        try:
            studies = read_studies([path], Pseudonymiser(Path(folder, "secret")))
        except InputError:
            return Thumbnail("", "image not readable")
    images = studies[0].images
    picture = for_planner(images[len(images) // 2], SIDE)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())
