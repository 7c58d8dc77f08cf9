"""Zip files of images, read member by member. Nothing is unpacked that was not asked for."""

import zipfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

from overread.imaging.errors import InputError
from overread.imaging.files import ORDINARY, open_whole

MAX_MEMBER_BYTES = 512 * 1024**2
"""Largest member that we unpack; what a header states is not believed."""

_CHUNK = 1024 * 1024


class Archive:
    """A zip file whose members are written below a folder when they are needed."""

    def __init__(self, path: Path, out: Path) -> None:
        """Open the archive.

        Args:
            path: The zip file.
            out: Where members are written, under their own names.

        Raises:
            InputError: It is no zip file, or a member would land outside of `out`.
        """
        self.path, self._out = path, out
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise InputError(
                f"{path} is not a readable zip file ({error}); copy it again"
            ) from error
        self.members = [info.filename for info in self._zip.infolist() if not info.is_dir()]
        if bad := next((name for name in self.members if not is_inside(name)), None):
            raise InputError(
                f"{path} holds '{bad}', which leads out of it; do not use this archive"
            )
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for name in self.members:
            self._by_name[PurePosixPath(name).name].append(name)

    def find(self, name: str) -> str | None:
        """Return the member of a name, whatever folders the archive puts above it.

        Raises:
            InputError: Two members end in this name.
        """
        wanted = str(PurePosixPath(name))
        found = [
            member
            for member in self._by_name.get(PurePosixPath(wanted).name, ())
            if member == wanted or member.endswith("/" + wanted)
        ]
        if wanted in found:
            return wanted
        if len(found) > 1:
            raise InputError(f"{self.path} holds '{name}' twice: {found[0]} and {found[1]}")
        return found[0] if found else None

    def extract(self, member: str) -> Path:
        """Write a member once and return its file.

        Raises:
            InputError: It is encrypted, damaged or too large, or the disk is full.
        """
        target = self._out / member
        if target.is_file():
            return target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._zip.open(member) as source, open_whole(target, mode=ORDINARY) as sink:
                size = 0
                while chunk := source.read(_CHUNK):
                    size += len(chunk)
                    if size > MAX_MEMBER_BYTES:
                        raise InputError(
                            f"'{member}' in {self.path} unpacks to more than "
                            f"{MAX_MEMBER_BYTES // 1024**2} MiB; it may be a bomb"
                        )
                    sink.write(chunk)
        except (OSError, RuntimeError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise InputError(f"'{member}' in {self.path} cannot be unpacked: {error}") from error
        return target


def is_inside(name: str) -> bool:
    """Tell whether a relative name stays below where it starts.

    >>> is_inside("a/b.png"), is_inside("../b.png"), is_inside("/b.png")
    (True, False, False)
    """
    path = PurePosixPath(name.replace("\\", "/"))
    drive = len(name) > 1 and name[1] == ":"
    return bool(name) and not (path.is_absolute() or drive or ".." in path.parts or "\0" in name)
