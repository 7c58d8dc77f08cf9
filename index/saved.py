"""Data sets that Hugging Face `datasets` has saved on disk: an image column and known columns."""

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.imaging.errors import InputError, UnreadableImage
from overread.imaging.limits import MAX_FILE_BYTES
from overread.index.manifest import BadRow, ManifestRow, row_of

if TYPE_CHECKING:
    from datasets import Dataset

_ONE, _MANY = ("state.json", "dataset_info.json"), "dataset_dict.json"


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return folder.is_dir() and (
        (folder / _MANY).is_file() or all((folder / name).is_file() for name in _ONE)
    )


def parts(folder: Path) -> list[Path]:
    """Return the folders of the splits, by name; the folder itself where there are none.

    Raises:
        InputError: There is no split.
    """
    if not (folder / _MANY).is_file():
        return [folder]
    found = sorted(below for below in folder.iterdir() if is_saved(below))
    if not found:
        raise InputError(f"The saved data set {folder} has no split; save it again.")
    return found


def rows(folder: Path) -> Iterator[ManifestRow | BadRow]:
    """Yield what the rows of one split say; no image is decoded.

    The columns are those of a manifest; `label` counts as labels, and class numbers become names.
    The image column takes the place of `path`.

    Raises:
        InputError: It is damaged, has no image column, or `datasets` is not installed.
    """
    data, column = _opened(folder)
    names = {name: _names(feature) for name, feature in data.features.items()}
    for number, fields in enumerate(data.remove_columns(column)):
        said = {key: _named(value, names[key]) for key, value in fields.items()}
        if "labels" not in said and "label" in said:
            said["labels"] = said.pop("label")
        yield row_of(folder, f"row {number + 1}", said | {"path": f"row {number + 1}"})


def image_bytes(folder: Path, row: int) -> bytes:
    """Return the encoded image of a row of one split.

    Raises:
        UnreadableImage: The row has no image, its file is gone, or it is too large.
        InputError: As in `rows`.
    """
    data, column = _opened(folder)
    cell = data[row][column] or {}
    if cell.get("bytes"):
        return bytes(cell["bytes"])
    path = Path(cell.get("path") or "")
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise UnreadableImage(f"{folder}, row {row + 1} holds no image; save the data set again.")
    return path.read_bytes()


@lru_cache(maxsize=4)
def _opened(folder: Path) -> "tuple[Dataset, str]":
    """Return a split with its images left encoded, and the name of the image column."""
    try:
        from datasets import Image, load_from_disk
    except ImportError as error:
        raise InputError(
            f"{folder} is a saved data set; to read it install 'overread[datasets]'."
        ) from error
    logging.getLogger("datasets").setLevel(logging.ERROR)
    try:
        data = load_from_disk(str(folder), keep_in_memory=False)
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"The saved data set {folder} cannot be read: {first_line}") from error
    columns = [name for name, feature in data.features.items() if isinstance(feature, Image)]
    if not columns:
        raise InputError(
            f"The saved data set {folder} has no image column; cast one to datasets.Image."
        )
    return data.cast_column(columns[0], Image(decode=False)), columns[0]


def _names(feature: Any) -> Any:
    """Return the class label of a column, or of its lists; None for any other column."""
    inner = getattr(feature, "feature", feature)
    return inner if hasattr(inner, "int2str") else None


def _named(value: Any, label: Any) -> Any:
    if label is None or value is None:
        return value
    return label.int2str(value)
