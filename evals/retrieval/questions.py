"""Held-out questions whose answer needs a similar case or a prior, asked as the planner knows them.

Of a bare picture neither modality nor body part is stated: the agent compares it with known cases.
"Find cases that look like this one" wants to be told what they show, which is right if it is what the
image shows. A course wants the prior. Without retrieval each can still be answered, by looking or by
the other tools.
"""

from collections.abc import Callable
from pathlib import Path

import PIL.Image

from overread.evals.benchmarks.generated import drawing_version, item_of, kept_items, slices_of
from overread.evals.items import Item
from overread.imaging.errors import InputError
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import DOMAINS, Phantom, generate, labels_of, sample, write
from overread.imaging.phantoms.truth import ContentType
from overread.imaging.render import to_view

SEED = 21
_SIMILAR = (
    "Find cases that look like this one.",
    "Which earlier cases resemble this image?",
    "Show me similar cases.",
    "Retrieve comparable studies.",
)
_NORMAL = ("normal", "none")

Make = Callable[[Phantom, Path], Item | None]


def retrieval_items(number: int, seed: int, work: Path) -> list[Item]:
    """Return items about phantoms of test patients, one a patient, kinds and domains in turn.

    Args:
        number: How many.
        seed: Of the phantoms.
        work: Folder for the files.

    Raises:
        InputError: The folder cannot be written.
    """
    folder = work / f"questions-{seed}-{drawing_version()}"
    makers = (_similar, _modality, _similar, _organ, _course)
    return kept_items(folder, number, lambda files: _items(number, seed, files, makers))


def similar_items(number: int, seed: int, work: Path) -> list[Item]:
    """Return only those that make the agent retrieve: all but the courses, in turn."""
    folder = work / f"similar-{seed}-{drawing_version()}"
    makers = (_similar, _modality, _organ)
    return kept_items(folder, number, lambda files: _items(number, seed, files, makers))


def _items(number: int, seed: int, folder: Path, makers: tuple[Make, ...]) -> list[Item]:
    found = []
    for place, phantom in enumerate(sample("test", number, seed)):
        turn = [*makers[place % len(makers) :], *makers]
        found.append(next(item for make in turn if (item := make(phantom, folder))))
    return found


def _modality(phantom: Phantom, folder: Path) -> Item | None:
    return _of_picture(phantom, folder, "modality")


def _organ(phantom: Phantom, folder: Path) -> Item | None:
    return _of_picture(phantom, folder, "organ")


def _of_picture(phantom: Phantom, folder: Path, content: ContentType) -> Item | None:
    """Ask about the picture without its header."""
    row = next((row for row in phantom.questions if row.content_type == content), None)
    return item_of(phantom, row, (_as_picture(phantom, folder),)) if row else None


def _similar(phantom: Phantom, folder: Path) -> Item | None:
    """Ask for similar cases; where nothing is ever found, what they show is no question."""
    if not DOMAINS[phantom.domain][1]:
        return None
    labels = tuple(labels_of(phantom))
    number = int(phantom.patient_id.rsplit("-", 1)[1])
    return Item(
        id=f"{phantom.study_id}-similar",
        question=_SIMILAR[number % len(_SIMILAR)],
        images=(write(phantom, folder),),
        answers=_NORMAL if labels == ("normal",) else labels,
        kind="open",
        cluster=phantom.patient_id,
        slices={**slices_of(phantom), "answer_type": "open", "content_type": "similar"},
        extra={"parts": True},
    )


def _course(phantom: Phantom, folder: Path) -> Item | None:
    """Ask how a finding has changed since the prior, which is the second image."""
    number = int(phantom.patient_id.rsplit("-", 1)[1])
    now = generate(phantom.domain, number, 1)
    row = next((row for row in now.questions if row.content_type == "compare"), None)
    if row is None or now.modality in ("OP", "SM"):
        return None
    return item_of(now, row, (write(now, folder), write(generate(phantom.domain, number), folder)))


def _as_picture(phantom: Phantom, folder: Path) -> Path:
    """Write what a screenshot holds: the pixels as they are shown, and no header."""
    image = phantom_image(phantom)
    path = folder / f"{phantom.study_id}-picture.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(to_view(image)).save(path, "PNG")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path
