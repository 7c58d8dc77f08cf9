"""Group DICOM files into studies and ordered series, loading one study at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from overread.imaging.dicom import Entry, Located, load_images
from overread.imaging.errors import UnreadableImage
from overread.imaging.plane import slice_spacing
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import Series, Study

EVEN = 0.1
"""Share of the usual step by which the others of a regular series may differ."""

Finished = Callable[[Entry, UnreadableImage | None], None]


def studies(
    entries: Sequence[Entry], pseudonymiser: Pseudonymiser, finished: Finished
) -> Iterator[Study]:
    """Yield one study after the other; only one study's pixels are held here at a time.

    Files of one Series Instance UID with different planes or sizes (localisers) become separate
    series. A file that turns up twice is taken once.

    Args:
        entries: Headers, in any order.
        pseudonymiser: The one that made the entries.
        finished: Called after each file, with the error if its pixels cannot be read; may raise.
    """
    by_study: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        by_study[entry.study_id][entry.series_id].append(entry)
    for study_id, by_series in by_study.items():
        found = []
        for group in by_series.values():
            loaded = _load(sorted(group, key=_order), pseudonymiser, finished)
            if loaded:
                found.append((group[0], _series(group[0], loaded)))
        if found:
            yield _study(study_id, found)


def _order(entry: Entry) -> tuple[float, int, str]:
    return (entry.position or 0.0, entry.number, str(entry.path))


def _load(
    entries: Sequence[Entry], pseudonymiser: Pseudonymiser, finished: Finished
) -> list[Located]:
    """Decode the files of a series, a copy of a file once only, and put the slices in order."""
    loaded: dict[str, list[Located]] = {}
    for entry in entries:
        try:
            found = load_images(entry, pseudonymiser)
        except UnreadableImage as error:
            finished(entry, error)
        else:
            loaded.setdefault(found[0].image.ref.instance, found)
            finished(entry, None)
    located = [item for found in loaded.values() for item in found]
    if any(item.position is None for item in located):
        return located
    return sorted(located, key=lambda item: item.position or 0.0)


def _series(first: Entry, located: Sequence[Located]) -> Series:
    return Series(
        id=first.series_id,
        modality=first.modality,
        images=tuple(item.image for item in located),
        description=first.series_description,
        slice_spacing_mm=_spacing(located),
    )


def _spacing(located: Sequence[Located]) -> float | None:
    """Return the usual distance of slices; None, too, where uneven ones have no plane to be placed by."""
    positions = [item.position for item in located]
    step = slice_spacing(positions)
    if step is None or all(item.image.plane is not None for item in located):
        return step
    return step if np.allclose(np.diff(np.array(positions, float)), step, rtol=EVEN) else None


def _study(study_id: str, found: list[tuple[Entry, Series]]) -> Study:
    first = found[0][0]
    return Study(
        id=study_id,
        patient_id=first.patient_id,
        series=tuple(series for _, series in found),
        description=first.study_description,
        age=first.age,
        sex=first.sex,
        header={
            "format": "DICOM",
            "study_date": first.facts["study_date"],
            "patient_identity_removed": "YES",
            "series": [
                {
                    "id": series.id,
                    "modality": series.modality,
                    "images": len(series.images),
                    **{k: v for k, v in entry.facts.items() if k != "study_date"},
                }
                for entry, series in found
            ],
        },
    )
