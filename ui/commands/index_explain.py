"""`overread index search IMAGE --explain FOLDER`: a picture for each case found, why it is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from overread.imaging.errors import ConfigError, InputError

if TYPE_CHECKING:
    from overread.agent.resources import Resources
    from overread.imaging.study import Image
    from overread.index.embedder import Vectors
    from overread.index.records import Hit
    from overread.index.store import CaseIndex


def write_explanations(
    folder: Path, index: "CaseIndex", resources: "Resources", image: "Image", hits: "Sequence[Hit]"
) -> list[Path]:
    """Write a PNG for each case whose picture the archive still has; return the files.

    Args:
        folder: Made where it is not there.
        index: That was searched.
        resources: With the archive.
        image: The query.
        hits: Best first.

    Raises:
        ConfigError: The folder cannot be written, or the embedder cannot tell where.
    """
    from overread.imaging.study import ImageRef
    from overread.index.explain import common_vector, drawn, explain
    from overread.index.records import picture

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be made ({error.strerror})") from error
    query, written = picture(image), list[Path]()
    common: dict[str, Vectors | None] = {}
    for place, hit in enumerate(hits, start=1):
        try:
            neighbour = picture(resources.archive.load(ImageRef.parse(hit.ref)))
        except InputError:  # the archive no longer has it
            continue
        if hit.domain not in common:
            common[hit.domain] = common_vector(index, hit.domain)
        embedder = index.embedder_of(hit.domain)
        why = explain(embedder, query, neighbour, common[hit.domain])
        path = folder / f"{place:02d}-{hit.study_id}.png"
        try:
            drawn(query, neighbour, hit, why).save(path, "PNG")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error.strerror})") from error
        written.append(path)
    return written
