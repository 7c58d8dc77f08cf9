"""What a piece of evidence looks like on its image: masks, box, neighbours, heat; for the viewer."""

from typing import Any

import numpy as np
import PIL.Image

from overread.imaging.errors import InputError, UnknownReference
from overread.imaging.render import heat_layer
from overread.imaging.study import Mask
from overread.index.explain import on_image
from overread.tools import cases
from overread.tools.base import Artifact, Evidence
from overread.tools.clicks import read_mask
from overread.tools.explain import TOOL, ExplainArgs, explained
from overread.tools.targets import name_in
from overread.ui.desk import Desk
from overread.ui.rooms import Room
from overread.ui.wording import told


def evidence_facts(desk: Desk, evidence: Evidence) -> dict[str, Any]:
    """Return what the viewer needs to show a piece of evidence: image, layer names, box, points."""
    arguments = evidence.arguments
    return {
        "id": evidence.id,
        "tool": evidence.tool,
        "content": told(evidence),
        "image": evidence.image,
        "layers": _names(evidence),
        "box": arguments.get("box"),
        "points": arguments.get("points") or [],
        "neighbours": _neighbours(desk, evidence),
        "heat": evidence.tool == TOOL,
    }


def mask_of(desk: Desk, room: Room, evidence: Evidence, name: str) -> Mask:
    """Return one mask of a piece of evidence.

    A measurement stores no masks: the segmenter that made them makes them again.

    Raises:
        UnknownReference: The evidence has no such mask.
        InputError: The segmenter no longer knows the target.
    """
    if evidence.image is None or name not in _names(evidence):
        raise UnknownReference(f"{evidence.id} has no mask '{name:.60}'")
    image = desk.image(room, evidence.image)
    resources = desk.assistant.resources
    if artifact := _stored(evidence, name):
        return read_mask(resources.artifacts.read(artifact), image.shape)
    segmenter = resources.segmenter()
    try:
        return segmenter.segment(image, name_in(segmenter, name)).mask
    except InputError:
        return np.zeros(image.shape, bool)  # a target of another tool's own


def heat_of(desk: Desk, room: Room, evidence: Evidence, case: str) -> PIL.Image.Image:
    """Return the heat map of a piece of evidence, RGBA, of its image's own size.

    Maps are not stored: what made them makes them again.

    Args:
        desk: The shared parts.
        room: Whose evidence it is.
        evidence: Of `explain`; or similar cases, of which one is explained.
        case: Its name ("case 1"); "" for evidence of `explain`.

    Raises:
        UnknownReference: The evidence is about no image, or has no such case.
        InputError: It cannot be explained any more.
        ConfigError: The embedder cannot tell where.
    """
    asked = {"image": 1} | {name: evidence.arguments.get(name) for name in ("finding", "neighbour")}
    if case:
        if case not in cases.studies(evidence.values):
            raise UnknownReference(f"{evidence.id} has no case '{case:.20}'")
        asked = {"image": 1, "neighbour": int(case.split()[1])}
    elif evidence.tool == TOOL:
        asked["by"] = evidence.arguments.get("by", "words")
    else:
        raise UnknownReference(f"{evidence.id} has no heat map")
    if evidence.image is None:
        raise UnknownReference(f"{evidence.id} is about no single image")
    image = desk.image(room, evidence.image)
    known = tuple(room.evidence[: room.evidence.index(evidence) + 1])
    context = desk.assistant.resources.tool_context((image.ref,), known)
    args = ExplainArgs.model_validate(asked)
    found = explained(context, image, args.finding, args.neighbour, args.by)
    return heat_layer(on_image(found.heat, image))


def _names(evidence: Evidence) -> list[str]:
    masks = [artifact.name for artifact in evidence.artifacts if artifact.kind == "mask"]
    if masks:
        return [name.removeprefix("mask of ") for name in masks]
    if not any(artifact.kind == "overlay" for artifact in evidence.artifacts):
        return []
    named = (evidence.values.get(key) for key in ("target", "reference"))
    return [str(name) for name in named if name]


def _stored(evidence: Evidence, name: str) -> Artifact | None:
    for artifact in evidence.artifacts:
        if artifact.kind == "mask" and artifact.name.removeprefix("mask of ") == name:
            return artifact
    return None


def _neighbours(desk: Desk, evidence: Evidence) -> list[dict[str, str]]:
    """Return the similar cases, each with the image that stands for it."""
    found = []
    archive = desk.assistant.resources.archive
    for name, study in cases.studies(evidence.values).items():
        try:
            refs = archive.study(study).refs
        except UnknownReference:
            continue  # taken out of the archive since
        found.append({"name": name, "image": str(refs[len(refs) // 2])})
    return found
