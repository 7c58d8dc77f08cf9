"""An item's images as a model sees them: rendered as for the planner, whatever their format."""

import tempfile
from functools import cache, lru_cache
from pathlib import Path

import PIL.Image

from overread.evals.items import Item
from overread.imaging.errors import InputError
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.render import data_url, for_planner
from overread.imaging.study import Image
from overread.imaging.synthetic import HEADER


def load_images(item: Item) -> list[Image]:
    """Read the images of an item: of a file of many slices or frames, its middle one.

    Training reads its examples here, too.

    Raises:
        UnreadableImage: A file is not an image.
        InputError: A picture was made up.
    """
    return [_middle(path) for path in item.images]


def render(item: Item, size: int) -> list[PIL.Image.Image]:
    """Return square pictures of the images of an item.

    Args:
        item: With its images.
        size: Longest edge in pixels; a smaller image is not enlarged.

    Raises:
        UnreadableImage: A file is not an image.
    """
    return [for_planner(image, min(size, max(image.shape))) for image in load_images(item)]


def picture_urls(item: Item, size: int) -> list[str]:
    """Return the pictures of `render` as PNG `data:` URLs, in memory for the next questions.

    Benchmarks ask several questions about an image, most often one after the other.

    Raises:
        UnreadableImage: A file is not an image.
        OSError: A file is not there.
    """
    return [_url(path, path.stat().st_mtime_ns, size) for path in item.images]


@lru_cache(maxsize=128)
def _url(path: Path, mtime_ns: int, size: int) -> str:
    image = _middle(path)
    return data_url(for_planner(image, min(size, max(image.shape))))


def _middle(path: Path) -> Image:
    study = read_studies([path], _pseudonymiser())[0]
    if HEADER in study.header:
        raise InputError(f"{path} was made up by a program; it is not taken for a real image")
    images = study.series[0].images
    return images[len(images) // 2]


@cache
def _pseudonymiser() -> Pseudonymiser:
    """Only pixels are used here, so the secret need not outlive the process."""
    with tempfile.TemporaryDirectory() as folder:
        return Pseudonymiser(Path(folder) / "secret")
