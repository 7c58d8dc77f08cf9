"""What an answer of the agent points at: the masks and the similar cases that it cites."""

import io
from collections.abc import Sequence

import numpy as np
import PIL.Image

from overread.agent.ledger import cited
from overread.agent.resources import Resources
from overread.evals.items import Item
from overread.evals.metrics.grounding import Box, boxes_of
from overread.evals.subjects.pools import case_id
from overread.imaging.archive import Archive
from overread.imaging.errors import UnknownReference
from overread.tools import cases as named
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Evidence

SEGMENT, RETRIEVAL = "segment", "find_similar_cases"


def boxes(text: str, evidence: Sequence[Evidence], store: ArtifactStore) -> tuple[Box, ...] | None:
    """Return a box around each region of the masks that a text cites, each once.

    Args:
        text: Of the answer.
        evidence: Of its session.
        store: Where the masks are.

    Returns:
        In pixels of the segmented image; empty if what is cited found nothing, None if no
        segmentation is cited.

    Raises:
        UnknownReference: A mask's file is gone, or was changed.
    """
    used = [entry for entry in cited(text, evidence) if entry.tool == SEGMENT]
    if not used:
        return None
    found: dict[Box, None] = {}
    for entry in used:
        for artifact in entry.artifacts:
            if artifact.kind == "mask":
                with PIL.Image.open(io.BytesIO(store.read(artifact)), formats=["PNG"]) as picture:
                    found |= dict.fromkeys(boxes_of(np.asarray(picture) > 0))
    return tuple(found)


def cases(text: str, evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Return the study ids of the similar cases that a text cites, as they were ranked, each once."""
    found: dict[str, None] = {}
    for entry in cited(text, evidence):
        if entry.tool == RETRIEVAL:
            found |= dict.fromkeys(named.studies(entry.values).values())
    return tuple(found)


def as_named(studies: Sequence[str], item: Item, resources: Resources) -> tuple[str, ...]:
    """Return studies of the index under the benchmark's own ids, without those of the query.

    The index knows studies by pseudonyms. The tool leaves out the study and the patient that an
    image's own header states; a picture without a header has neither, so those that the benchmark
    states are left out here.

    Args:
        studies: In order of similarity.
        item: Its accepted answers are the ids to be known again; "study" in its `extra`, and its
            cluster, are the query's.
        resources: Of the agent.
    """
    secret = resources.pseudonymiser
    names = {secret.study(answer): answer for answer in item.answers}
    own = {case_id(item), secret.study(case_id(item))}
    # As `index.ingest` names the patient of a manifest's row.
    patient = {item.cluster, secret.patient(f"\0{item.cluster}")} if item.cluster else set()
    return tuple(
        names.get(study, study)
        for study in studies
        if study not in own and _patient(study, resources.archive) not in patient
    )


def _patient(study: str, archive: Archive) -> str | None:
    """Return whose study it is; None where the archive no longer has it."""
    try:
        return archive.study(study).patient_id
    except UnknownReference:
        return None
