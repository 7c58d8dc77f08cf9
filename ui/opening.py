"""Open a user's files in a room: read, de-identify, store, and delete the originals."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from overread.agent.resources import Resources
from overread.imaging.archive import Archive
from overread.imaging.errors import InputError, UnknownReference, UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import Problem, iterate, read_studies
from overread.imaging.sniff import Kind, kind_of, named_kind
from overread.imaging.study import Image, Study
from overread.ui.rooms import Room

_MOST_SENTENCES = 5
"""Refused files that a message names."""


def open_files(resources: Resources, room: Room, files: Sequence[Path]) -> list[str]:
    """Store the images of files, let the room see them, and return one reference a series.

    A series of many slices or frames stands for its middle one.

    Raises:
        InputError: Not all could be opened: a file is no image, or another image is stored under
            the reference of one of them. The room sees those that could. The message holds a
            sentence for each that could not, with the file's own name and no path.
    """
    studies, refused = _read(files, resources.pseudonymiser)
    opened: list[Study] = []
    for study in studies:
        try:
            _check_not_another(resources.archive, study)
        except InputError as error:
            refused.append(str(error))
        else:
            opened.append(study)
    resources.archive.add(opened)
    refs = [str(image.ref) for study in opened for image in study.images]
    room.images = list(dict.fromkeys([*room.images, *refs]))
    for study in opened:
        room.opened.setdefault(study.id, time.time())
    if refused:
        raise InputError(_told(refused, len(opened)))
    return [
        str(series.images[len(series.images) // 2].ref)
        for study in opened
        for series in study.series
    ]


def _read(files: Sequence[Path], pseudonymiser: Pseudonymiser) -> tuple[list[Study], list[str]]:
    """Return what can be read, and a sentence on each file that cannot."""
    problems: list[Problem] = []
    images: list[Path] = []
    for file in files:
        try:
            if _promises_nothing(file):
                read_studies([file], pseudonymiser)  # raises: in a batch it would be passed over
            images.append(file)
        except UnreadableImage as error:
            problems.append(Problem(file, str(error)))
    studies: list[Study] = []
    with suppress(UnreadableImage):  # none could be read: `problems` says why of each
        studies += iterate(images, pseudonymiser, problems, strict=False) if images else []
    # The reader's own path is of no use to its user, and is nobody else's business.
    return studies, [one.message.replace(str(one.path), one.path.name) for one in problems]


def _promises_nothing(file: Path) -> bool:
    """Whether neither name nor content says that it is an image: folders may hold such files."""
    try:
        return named_kind(file) is Kind.OTHER and kind_of(file) is Kind.OTHER
    except OSError:
        return False  # reading it will say why not


def _told(refused: Sequence[str], opened: int) -> str:
    rest = len(refused) - _MOST_SENTENCES
    sentences = list(refused[:_MOST_SENTENCES])
    if opened:
        sentences.insert(0, "Not every file could be opened; the others were.")
    if rest > 0:
        sentences.append(f"{rest} more could not be opened either.")
    return " ".join(sentences)


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
