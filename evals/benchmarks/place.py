"""A benchmark's local copy: its tables and images, in folders or in zip files."""

import fnmatch
import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from overread.evals.benchmarks.archives import Archive, is_inside
from overread.evals.benchmarks.schema import Spec
from overread.imaging.errors import InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.sniff import Kind, kind_of_bytes

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SUFFIX = {Kind.PNG: ".png", Kind.JPEG: ".jpg", Kind.TIFF: ".tif", Kind.DICOM: ".dcm"}


class Place:
    """Where the files of a benchmark are."""

    def __init__(self, spec: Spec, root: Path, work: Path) -> None:
        """Point at a local copy.

        Args:
            spec: Says which folders and archives there are.
            root: The copy.
            work: Where embedded and zipped images are written.
        """
        self.spec, self.root, self.work = spec, root, work

    def __str__(self) -> str:
        """Return the path, for messages."""
        return str(self.root)

    def tables(self, patterns: Sequence[Sequence[str]]) -> list[Path]:
        """Return the files of a split; see `Spec.splits`.

        Raises:
            InputError: No alternative matches, or one of a set does not.
        """
        for together in patterns:
            found = {pattern: self._glob(pattern) for pattern in together}
            if not any(found.values()):
                continue
            if absent := [pattern for pattern, files in found.items() if not files]:
                raise InputError(
                    f"{self.root} is not complete: {absent[0]} is missing; copy it there, too"
                )
            return sorted({file for files in found.values() for file in files})
        wanted = " or ".join(" and ".join(together) for together in patterns)
        raise InputError(
            f"{self.root} holds no file {wanted}; give the folder of {self.spec.title} as it is "
            "downloaded"
        )

    def image(self, name: str) -> Path:
        """Return the file of an image that a row names.

        Raises:
            InputError: There is no such file, or the name leads out of the copy.
        """
        name = name.strip()
        for beginning in self.spec.images.strip:
            name = name.removeprefix(beginning)
        if re.match(r"[a-z]+://", name):
            raise InputError(f"the image {name} is an address; only local files are read")
        if not (self.spec.images.anywhere or is_inside(name)):
            raise InputError(f"the image '{name}' leads out of {self.root}; that is refused")
        for folder in self.spec.images.folders:
            if (file := self.root / folder / name).is_file():
                return file
        for archive in self._archives:
            for folder in self.spec.images.folders:
                if member := archive.find(str(PurePosixPath(folder) / name)):
                    return archive.extract(member)
            if member := archive.find(name):
                return archive.extract(member)
        places = ", ".join([*self.spec.images.folders, *self.spec.images.archives])
        raise InputError(f"the image {name} is not in {self.root} (looked in {places})")

    def embedded(self, data: bytes) -> Path:
        """Write an image that a table holds, once, named by its content, and return the file.

        Raises:
            InputError: It is of no kind that we read, or cannot be written.
        """
        stem = self.work / "images" / hashlib.sha256(data).hexdigest()[:32]
        for suffix in _SUFFIX.values():
            if (file := stem.with_suffix(suffix)).is_file():
                return file
        kind = kind_of_bytes(data)
        if kind not in _SUFFIX:
            raise InputError("its embedded image is neither PNG, JPEG, TIFF nor DICOM")
        file = stem.with_suffix(_SUFFIX[kind])
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, data, mode=ORDINARY)
        except OSError as error:
            raise InputError(
                f"cannot write below {self.work} ({error.strerror}); choose another work folder"
            ) from error
        return file

    @cached_property
    def _archives(self) -> list[Archive]:
        files = [
            file
            for pattern in self.spec.images.archives
            for file in sorted(self.root.glob(pattern))
            if file.is_file()
        ]
        return [Archive(file, self.work / "unzipped" / file.stem) for file in files]

    def _glob(self, pattern: str) -> list[Path]:
        if files := [file for file in sorted(self.root.glob(pattern)) if file.is_file()]:
            return files
        return [
            archive.extract(member)
            for archive in self._archives
            for member in sorted(archive.members)
            if fnmatch.fnmatchcase(member, pattern)
        ]


def locate(spec: Spec, place: str | Path | None, split: str) -> Path:
    """Return the local copy of a benchmark, downloaded if a hub id is given or none is local.

    Raises:
        InputError: There is no copy and none can be had; the message names hub id and licence.
    """
    if place is not None and (path := Path(place).expanduser()).exists():
        return path
    hub = spec.hub if place is None else str(place)
    if hub is None:
        home = f" from {spec.home}" if spec.home else ""
        raise InputError(
            f"{spec.title} needs a local copy{home} (licence: {spec.licence}); give its folder"
        )
    if not _HUB_ID.fullmatch(hub):
        raise InputError(f"{place} does not exist; give the folder of {spec.title}, or a hub id")
    return _download(spec, hub, split)


def _download(spec: Spec, hub: str, split: str) -> Path:
    from huggingface_hub import snapshot_download

    tables = [
        pattern
        for name, alternatives in spec.splits.items()
        if name == split or spec.split_column
        for together in alternatives
        for pattern in together
    ]
    folders = [f"{folder}/*" for folder in spec.images.folders if folder != "."]
    wanted = [*tables, *folders, *spec.images.archives]
    try:
        return Path(snapshot_download(hub, repo_type="dataset", allow_patterns=wanted))
    except Exception as error:  # the client's errors have no common base
        raise InputError(
            f"{spec.title} is not on this machine and could not be fetched from the hub as {hub} "
            f"(licence: {spec.licence}): {type(error).__name__}; give the folder of a local copy"
        ) from error
