"""Read whatever the user gives, files or folders, as de-identified studies."""

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from overread.imaging import dicom_series, nifti, raster, video
from overread.imaging.dicom import Entry, read_entry
from overread.imaging.errors import UnreadableImage
from overread.imaging.limits import check_file
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.sniff import RASTERS, VIDEOS, Kind, kind_of, named_kind
from overread.imaging.study import Study

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True, slots=True)
class Problem:
    """A file found in a folder that should have been an image and could not be read.

    Attributes:
        path: May identify a patient: show it to the user, keep it out of logs.
        message: The sentence for the user; names the path.
    """

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What was read, and what was not."""

    studies: list[Study]
    problems: list[Problem] = field(default_factory=list)


def read_studies(
    paths: Sequence[Path], pseudonymiser: Pseudonymiser, progress: Progress | None = None
) -> list[Study]:
    """Read files and folders; see `scan`, which also returns what in folders was unreadable."""
    result = scan(paths, pseudonymiser, progress)
    if result.problems:
        logger.warning("%d files in the given folders could not be read", len(result.problems))
    return result.studies


def scan(
    paths: Sequence[Path], pseudonymiser: Pseudonymiser, progress: Progress | None = None
) -> ScanResult:
    """Read every file given and every image in the folders given.

    Args:
        paths: Files (each must be readable) and folders (searched recursively).
        pseudonymiser: Replaces identities; DICOM is de-identified before anything is returned.
        progress: Called with the number of files done and their total.

    Raises:
        UnreadableImage: A named file cannot be read, or there is no readable image at all.
    """
    problems: list[Problem] = []
    studies = list(iterate(paths, pseudonymiser, problems, progress))
    return ScanResult(studies, problems)


def iterate(
    paths: Sequence[Path],
    pseudonymiser: Pseudonymiser,
    problems: list[Problem],
    progress: Progress | None = None,
    *,
    strict: bool = True,
) -> Iterator[Study]:
    """Yield studies one by one, so that a large folder need not fit in memory.

    Args:
        paths: As in `scan`.
        pseudonymiser: As in `scan`.
        problems: Appended to.
        progress: As in `scan`.
        strict: Otherwise an unreadable file among `paths` is a problem, as one in a folder is.

    Raises:
        UnreadableImage: As in `scan`.
    """
    found: dict[Path, bool] = {}
    for given in paths:
        try:
            for path, named in _find(Path(given)):
                found[path] = found.get(path, False) or (named and strict)
        except UnreadableImage as error:
            if strict:
                raise
            problems.append(Problem(Path(given), str(error)))
    entries: list[Entry] = []
    seen: set[str] = set()
    done = 0

    def finished(path: Path, error: UnreadableImage | None) -> None:
        nonlocal done
        if error and found[path]:
            raise error
        if error:
            problems.append(Problem(path, str(error)))
        done += 1
        if progress:
            progress(done, len(found))

    for path, named in found.items():
        try:
            read = _read(path, named, pseudonymiser)
        except UnreadableImage as error:
            finished(path, error)
            continue
        if isinstance(read, Entry):
            entries.append(read)
            continue
        if read is not None and read.id not in seen:
            seen.add(read.id)
            yield read
        finished(path, None)
    for study in dicom_series.studies(
        entries, pseudonymiser, lambda entry, error: finished(entry.path, error)
    ):
        seen.add(study.id)
        yield study
    if not seen:
        raise UnreadableImage(_nothing(paths, problems))


def find_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a stable order, hidden ones left out."""
    yield from (path for path, _ in _find(folder))


def study_of(path: Path, pseudonymiser: Pseudonymiser) -> str | None:
    """Return which study a file of a folder belongs to, without decoding a pixel.

    Args:
        path: A file.
        pseudonymiser: As in `scan`.

    Returns:
        The id that the study of a DICOM file will have; "" for an image that is a study of its own,
        as far as its first bytes tell; None for a file that is no image.

    Raises:
        UnreadableImage: The header of a DICOM file cannot be read.
    """
    promised = named_kind(path)
    try:
        kind = kind_of(path)
    except OSError:
        return ""  # reading it will say why not
    if kind is Kind.DICOM or (kind is Kind.OTHER and promised is Kind.DICOM):
        check_file(path)
        return read_entry(path, pseudonymiser).study_id
    return None if kind is Kind.OTHER and promised is Kind.OTHER else ""


def _nothing(paths: Sequence[Path], problems: Sequence[Problem]) -> str:
    if not paths:
        return "No image was given; give at least one file or folder."
    where = ", ".join(str(path) for path in paths)
    if problems:
        return f"No readable image in {where}. The first problem: {problems[0].message}"
    return f"No image in {where}; we read DICOM, NIfTI, PNG, JPEG, TIFF, MP4, AVI, MOV and WebM."


def _find(path: Path) -> Iterator[tuple[Path, bool]]:
    """Yield files in a stable order, each folder entered once, and whether the user named them."""
    if _URL.match(str(path)):
        raise UnreadableImage(f"{path} is a URL; download it first, we only read local files.")
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if not is_folder:
        check_file(path)
        yield path, True
        return
    entered: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(path, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            below.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and name != "DICOMDIR" and file.is_file():
                yield file, False


def _read(path: Path, named: bool, pseudonymiser: Pseudonymiser) -> Study | Entry | None:
    """Return a study, the header of a DICOM file, or None for a file in a folder that is no image.

    Args:
        path: A file.
        named: Whether the user named this very file, so that not reading it is an error.
        pseudonymiser: As in `scan`.

    Raises:
        UnreadableImage: It is, or should be, an image and is not readable.
    """
    promised = named_kind(path)
    try:
        kind = kind_of(path)
    except OSError:
        raise UnreadableImage(f"{path} cannot be opened; check its permissions.") from None
    if kind is Kind.OTHER and promised is Kind.OTHER and not named:
        return None
    check_file(path)
    if kind is Kind.UNSUPPORTED or (kind is Kind.OTHER and promised is Kind.UNSUPPORTED):
        raise UnreadableImage(
            f"{path} is a GIF, WebP, BMP, JPEG 2000 or HEIF picture, which we do not read; "
            "save it as PNG or TIFF."
        )
    if kind is Kind.OTHER and promised is Kind.OTHER:
        raise UnreadableImage(
            f"{path} is not an image we know; we read DICOM, NIfTI, PNG, JPEG, TIFF and video."
        )
    if kind is Kind.DICOM or (kind is Kind.OTHER and promised is Kind.DICOM):
        return read_entry(path, pseudonymiser)
    if kind is Kind.NIFTI:
        return nifti.read(path, pseudonymiser)
    if kind in RASTERS:
        return raster.read(path, kind.value, pseudonymiser)
    if kind in VIDEOS:
        return video.read(path, kind.value, pseudonymiser)
    raise UnreadableImage(
        f"{path} is damaged or not a valid {path.suffix} file; copy or export it again."
    )
