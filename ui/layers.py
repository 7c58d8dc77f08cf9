"""What a piece of evidence looks like on its image: masks, box, neighbours, heat; for the viewer."""

from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image

from overread.agent.ledger import READER
from overread.imaging.errors import InputError, UnknownReference
from overread.imaging.render import heat_layer
from overread.imaging.study import Mask
from overread.index.explain import on_image
from overread.tools import cases
from overread.tools.base import Artifact, Evidence
from overread.tools.clicks import Prompts, doubt, read_mask
from overread.tools.explain import TOOL, ExplainArgs, explained
from overread.tools.pictures import uncertainty_layer
from overread.tools.segment import SegmentArgs
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


def doubt_of(
    desk: Desk, room: Room, evidence: Evidence
) -> tuple[PIL.Image.Image, dict[str, float]]:
    """Return where the outlines of a piece of evidence are unsure, RGBA, and the Dice expected of each.

    As heat maps, these are made again by what made them.

    Raises:
        UnknownReference: The evidence has no outline.
        InputError: A reader outlined it, or the segmenter no longer knows the target.
    """
    names = _names(evidence)
    if evidence.image is None or not names:
        raise UnknownReference(f"{evidence.id} has no outline")
    if evidence.tool == READER:
        raise InputError(
            f"{evidence.id} was outlined by a reader: no segmenter can say how sure it is"
        )
    image, segmenter = desk.image(room, evidence.image), desk.assistant.resources.segmenter()
    prompts = _prompts(evidence)
    told = {
        name: doubt(segmenter, image, replace(prompts, target=name_in(segmenter, name)))
        for name in names
    }
    worst = np.maximum.reduce([quality.uncertainty for quality in told.values()])
    return uncertainty_layer(worst), {name: round(one.dice, 3) for name, one in told.items()}


def _prompts(evidence: Evidence) -> Prompts:
    """Return what a person pointed at; only to `segment` are points and a box prompts."""
    if evidence.tool != "segment":
        return Prompts()
    args = SegmentArgs.model_validate(evidence.arguments)
    box = (args.box[0], args.box[1], args.box[2], args.box[3]) if args.box else None
    return Prompts(None, [(x, y, bool(inside)) for x, y, inside in args.points], box)


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
