"""What is read in one go: the files of a study, a row of a manifest, a row of a saved data set."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from overread.imaging.errors import InputError, UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import find_files, study_of
from overread.index import saved
from overread.index.manifest import SUFFIXES, BadRow, ManifestRow, read_manifest


@dataclass(frozen=True, slots=True)
class Unit:
    """The least that is read, indexed and remembered as done.

    Attributes:
        files: To be read together; for a row of a saved data set its folder.
        row: What a manifest or a data set says of it, or None.
        series: Place among the rows of its study, from 0.
        saved_row: Number in a saved data set, or None.
    """

    files: tuple[Path, ...]
    row: ManifestRow | None = None
    series: int = 0
    saved_row: int | None = None

    @property
    def name(self) -> str:
        """What the quarantine calls it: a path, or a folder and a row."""
        if self.saved_row is not None:
            return f"{self.files[0]}, row {self.saved_row + 1}"
        return str(self.files[0])

    def content(self) -> str:
        """Return a hash of the files' bytes and of what is said of them, wherever they lie.

        Raises:
            OSError: A file cannot be read.
        """
        digest = hashlib.sha256()
        facts = {} if self.row is None else asdict(self.row)
        said = {key: value for key, value in facts.items() if key != "path"}
        digest.update(json.dumps([said, self.series], ensure_ascii=False).encode())
        if self.saved_row is not None:
            digest.update(saved.image_bytes(self.files[0], self.saved_row))
        else:
            for path in self.files:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Source:
    """Everything that is to be indexed.

    Attributes:
        units: In a fixed order.
        bad: Names and reasons of rows and files that are no units.
    """

    units: tuple[Unit, ...]
    bad: tuple[tuple[str, str], ...]


def open_source(source: Path, pseudonymiser: Pseudonymiser) -> Source:
    """List what a folder, a manifest or a saved data set holds, without decoding a pixel.

    Args:
        source: Folder of images and DICOM; a .csv, .jsonl or .parquet manifest; or a folder that
            Hugging Face `datasets` has saved.
        pseudonymiser: Groups DICOM files into studies.

    Raises:
        InputError: The source does not exist, or cannot be read.
    """
    if saved.is_saved(source):
        split = {part: list(saved.rows(part)) for part in saved.parts(source)}
        cells = [(row, (part,), n) for part, rows in split.items() for n, row in enumerate(rows)]
        return Source(tuple(_numbered(cells)), _bad([row for row, _, _ in cells]))
    if source.is_dir():
        return _folder(source, pseudonymiser)
    if source.is_file() and source.suffix in SUFFIXES:
        listed = read_manifest(source)
        files = [(row, (Path(row.path),), None) for row in listed]
        return Source(tuple(_numbered(files)), _bad(listed))
    raise InputError(
        f"{source} is neither a folder nor a manifest ({', '.join(sorted(SUFFIXES))})."
    )


def _numbered(
    rows: Iterable[tuple[ManifestRow | BadRow, tuple[Path, ...], int | None]],
) -> Iterator[Unit]:
    """Make units of rows; those of one study are its series, numbered in their order."""
    series: dict[str, int] = defaultdict(int)
    for row, files, place in rows:
        if isinstance(row, BadRow):
            continue
        yield Unit(files, row, series[row.study_id], place)
        if row.study_id:
            series[row.study_id] += 1


def _bad(rows: list[ManifestRow | BadRow]) -> tuple[tuple[str, str], ...]:
    return tuple((row.path, row.reason) for row in rows if isinstance(row, BadRow))


def _folder(folder: Path, pseudonymiser: Pseudonymiser) -> Source:
    """Take pictures and volumes one by one, DICOM files by their study."""
    groups: dict[str, list[Path]] = {}
    bad = []
    for path in find_files(folder):
        try:
            study_id = study_of(path, pseudonymiser)
        except UnreadableImage as error:
            bad.append((str(path), str(error)))
            continue
        if study_id is not None:
            groups.setdefault(study_id or f"\0{path}", []).append(path)
    if not groups and not bad:
        raise UnreadableImage(
            f"No image in {folder}; we read DICOM, NIfTI, PNG, JPEG, TIFF, MP4, AVI, MOV and WebM."
        )
    return Source(tuple(Unit(tuple(files)) for files in groups.values()), tuple(bad))
