"""What an index remembers of itself: format, default embedder, what embeds its passages."""

from pathlib import Path

from chromadb.api import ClientAPI
from chromadb.errors import NotFoundError

from overread.imaging.errors import IndexMismatch
from overread.index.embedder import Embedder
from overread.index.sentences import Passages, has_sentences
from overread.index.shelf import FORMAT

CATALOGUE = "overread.index"
_FORMAT_1 = "overread-images"


def open_catalogue(
    client: ClientAPI, place: str | Path, embedder: Embedder, create: bool, wanted: Passages
) -> Passages:
    """Hold an index's identity against the embedder's; return what embeds its passages.

    Args:
        client: Of the place.
        place: For the messages.
        embedder: The default one.
        create: Make a catalogue where there is none.
        wanted: For a new index; the text tower where the sentence encoder is not installed.

    Raises:
        IndexMismatch: There is no index, or it is of another embedder or format.
    """
    identity = {"embedder": embedder.name, "dim": embedder.dim, "format": FORMAT}
    try:
        stored = client.get_collection(CATALOGUE, embedding_function=None).metadata or {}
    except NotFoundError as error:
        if any(found.name == _FORMAT_1 for found in client.list_collections()):
            raise IndexMismatch(
                f"The index at {place} was built by an older Overread, with one collection for all "
                "domains (format 1); delete it and build it again with 'overread index build'."
            ) from error
        if not create:
            raise IndexMismatch(
                f"There is no Overread index at {place}; build one with 'overread index build'."
            ) from error
        passages: Passages = "sentences" if wanted == "sentences" and has_sentences() else "tower"
        client.get_or_create_collection(
            CATALOGUE, metadata=identity | {"passages": passages}, embedding_function=None
        )
        return passages
    if any(stored.get(key) != value for key, value in identity.items()):
        raise IndexMismatch(
            f"The index at {place} was built with embedder {stored.get('embedder')} "
            f"(format {stored.get('format')}), but {embedder.name} (format {FORMAT}) is configured; "
            "set index.embedder to the old one or build the index again."
        )
    return "tower" if stored.get("passages") == "tower" else "sentences"
