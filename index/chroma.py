"""Opening Chroma, embedded or by URL, with its failures in plain words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import chromadb
from chromadb.api import ClientAPI
from chromadb.config import Settings
from chromadb.errors import ChromaError

from overread.imaging.errors import ConfigError, IndexMismatch
from overread.index.graph_files import damaged


def is_url(place: str | Path) -> bool:
    """Whether `place` is a Chroma server rather than a folder."""
    return str(place).startswith(("http://", "https://"))


@contextmanager
def explained(place: str | Path) -> Iterator[None]:
    """Turn Chroma's errors about a damaged or vanished database into ours.

    Raises:
        IndexMismatch: Chroma could not read what is stored at `place`.
    """
    try:
        yield
    except (ChromaError, OSError) as error:
        first_line = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        remedy = "check that the server runs" if is_url(place) else "delete the folder and build it"
        raise IndexMismatch(
            f"The index at {place} is damaged or cannot be read ({first_line}); {remedy} again."
        ) from error


def connect(place: str | Path) -> ClientAPI:
    """Return a client with telemetry off.

    Raises:
        ConfigError: The URL is malformed or nobody answers there.
        IndexMismatch: The folder holds a damaged database.
    """
    settings = Settings(anonymized_telemetry=False)
    if not is_url(place):
        with explained(place):
            if reason := damaged(Path(place)):
                raise IndexMismatch(
                    f"The index at {place} is damaged ({reason}); delete the folder and build it "
                    "again."
                )
            return chromadb.PersistentClient(str(place), settings=settings)
    url = urlsplit(str(place))
    try:
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        return chromadb.HttpClient(url.hostname or "", port, ssl=secure, settings=settings)
    except (ValueError, ChromaError) as error:
        raise ConfigError(
            f"No Chroma server answers at {place}; start one with 'chroma run' or unset index.url."
        ) from error
