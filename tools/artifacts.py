"""Files that tools make, stored under the hash of their bytes."""

import hashlib
import re
from pathlib import Path

from overread.imaging.errors import ConfigError, InputError, UnknownReference
from overread.imaging.files import write_whole
from overread.tools.base import Artifact, ArtifactKind

_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


class ArtifactStore:
    """A folder of files named by content, so that nothing is ever overwritten by something else."""

    def __init__(self, root: Path) -> None:
        """Keep files below `root`, which is created on the first `put`."""
        self.root = root.expanduser()

    def put(self, data: bytes, kind: ArtifactKind, name: str, suffix: str) -> Artifact:
        """Store bytes and return their record; storing them again changes nothing.

        Args:
            data: The file's content.
            kind: What it is.
            name: For people.
            suffix: Of the file, with its dot: ".png".

        Raises:
            InputError: The suffix is not a dot and a few small letters or digits.
            ConfigError: The folder cannot be written.
        """
        if not _SUFFIX.fullmatch(suffix):
            raise InputError(f"'{suffix}' is not a file suffix such as '.png'")
        digest = hashlib.sha256(data).hexdigest()
        relative = f"{digest[:2]}/{digest}{suffix}"
        target = self.root / relative
        if not target.exists():
            try:
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_whole(target, data)
            except OSError as error:
                raise ConfigError(
                    f"the artifact folder {self.root} cannot be written ({error.strerror}); "
                    "free some space or set OVERREAD_DATA_DIR to a folder you own"
                ) from error
        return Artifact(kind=kind, name=name, path=relative, sha256=digest)

    def path(self, artifact: Artifact) -> Path:
        """Return where an artifact's file is.

        Raises:
            UnknownReference: Its path leads out of the store, or the file is not there.
        """
        root = self.root.resolve()
        found = (root / artifact.path).resolve()
        if not found.is_relative_to(root) or not found.is_file():
            raise UnknownReference(f"the artifact store has no file '{artifact.path}'")
        return found

    def read(self, artifact: Artifact) -> bytes:
        """Return an artifact's bytes, checked against its hash.

        Raises:
            UnknownReference: As `path`, or the file was changed after it was stored.
        """
        data = self.path(artifact).read_bytes()
        if hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise UnknownReference(f"the file '{artifact.path}' was changed after it was stored")
        return data
