"""Open a user's files in a room: read, de-identify, store, and delete the originals."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from overread.agent.resources import Resources
from overread.imaging.archive import Archive
from overread.imaging.errors import InputError, UnknownReference
from overread.imaging.read import read_studies
from overread.imaging.study import Image, Study
from overread.ui.rooms import Room


def open_files(resources: Resources, room: Room, files: Sequence[Path]) -> list[str]:
    """Store the images of files, let the room see them, and return one reference a series.

    A series of many slices or frames stands for its middle one.

    Raises:
        UnreadableImage: A file is no image.
        InputError: Another image is stored under the reference of one of them.
    """
    if not files:
        return []
    studies = read_studies(files, resources.pseudonymiser)
    for study in studies:
        _check_not_another(resources.archive, study)
    resources.archive.add(studies)
    refs = [str(image.ref) for study in studies for image in study.images]
    room.images = list(dict.fromkeys([*room.images, *refs]))
    return [
        str(series.images[len(series.images) // 2].ref)
        for study in studies
        for series in study.series
    ]


def _check_not_another(archive: Archive, study: Study) -> None:
    """Refuse to replace an image of somebody's by another that claims to be the same."""
    try:
        known = set(archive.study(study.id).refs)
    except UnknownReference:
        return
    for image in study.images:
        if image.ref in known and not _same(archive.load(image.ref), image):
            raise InputError(
                "a file says that it is an image which is stored already, but its pixels differ; "
                "export it again under its own identifiers"
            )


def _same(stored: Image, given: Image) -> bool:
    return stored.pixels.dtype == given.pixels.dtype and np.array_equal(stored.pixels, given.pixels)
