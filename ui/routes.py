"""What the viewer asks the server for, over HTTP; every route checks the room's owner first."""

import base64
import binascii
import io
import json
import zipfile
from typing import Annotated, Any

import PIL.Image
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from overread.agent.reader import Outlined
from overread.imaging.errors import InputError, UnknownReference
from overread.imaging.study import Image, Mask
from overread.tools import geometry
from overread.tools.clicks import Prompts, answer, doubt, mask_png, read_mask
from overread.tools.pictures import png, uncertainty_layer
from overread.tools.quality import expected_dice
from overread.tools.segmenter import Segmentation, Segmenter
from overread.tools.targets import name_in
from overread.tools.volume import carry
from overread.ui.deleting import delete_room
from overread.ui.desk import Desk
from overread.ui.gate import USER
from overread.ui.layers import doubt_of, evidence_facts, heat_of, mask_of
from overread.ui.rooms import MAX_TITLE, Room
from overread.ui.slices import PRESETS, encode, facts, study_facts, thumbnail

MAX_MASK_CHARS = 8 * 1024**2
_PRIVATE = {"Cache-Control": "no-store"}
_OURS = "x-overread"

Xy = tuple[float, float]


class Drawn(BaseModel, extra="forbid"):
    """What a reader drew: see `Prompts`. Masks are PNG in base64."""

    image: str = Field(max_length=300)
    target: str | None = Field(None, max_length=60)
    points: list[tuple[int, int, bool]] = Field(default=[], max_length=200)
    box: tuple[int, int, int, int] | None = None
    strokes: list[list[Xy]] = Field(default=[], max_length=200)
    previous: str | None = Field(None, max_length=MAX_MASK_CHARS)


class Accepted(BaseModel, extra="forbid"):
    """A mask that the reader stands for."""

    image: str = Field(max_length=300)
    name: str = Field(max_length=60)
    mask: str = Field(max_length=MAX_MASK_CHARS)
    assisted: bool = True
    carried: bool = False


class Carried(BaseModel, extra="forbid"):
    """A mask that is to be carried through the images of its series."""

    image: str = Field(max_length=300)
    mask: str = Field(max_length=MAX_MASK_CHARS)


class Renamed(BaseModel, extra="forbid"):
    """A session's new title."""

    title: str = Field(min_length=1, max_length=MAX_TITLE)


def only_ours(request: Request) -> None:
    """Refuse a change that a page of another site could have sent: it cannot set this header."""
    if request.method != "GET" and _OURS not in request.headers:
        raise HTTPException(403, "the header X-Overread is missing")


def _user(request: Request) -> str:
    return str(request.scope[USER])


User = Annotated[str, Depends(_user)]
"""Who was let in by the gate."""


def _room(request: Request, session: str, who: User) -> Room:
    desk: Desk = request.app.state.desk
    return desk.rooms.get(who, session)


Here = Annotated[Room, Depends(_room)]
"""The room of the path, if it is this user's."""


def make_routes(desk: Desk) -> APIRouter:
    """Return the routes below `/reading`; they look for `desk` in the application's state, too."""
    router = APIRouter(prefix="/reading", dependencies=[Depends(only_ours)])
    resources = desk.assistant.resources

    @router.get("/sessions")
    def sessions(who: User) -> list[dict[str, Any]]:
        return [
            {"id": r.id, "title": r.title, "changed": r.changed, "questions": len(r.turns)}
            for r in desk.rooms.of(who)
        ]

    @router.get("/sessions/{session}")
    def session(here: Here, who: User) -> dict[str, Any]:
        studies = list(dict.fromkeys(ref.split("/")[0] for ref in here.images))
        return {
            "id": here.id,
            "title": here.title,
            "user": who,
            "studies": [
                study_facts(resources.archive, study, here.images)
                | {"number": number, "of": len(studies), "opened": here.opened.get(study)}
                for number, study in enumerate(studies, 1)
            ],
            "examples": [
                study_facts(resources.archive, item.study, item.refs)
                | {"title": item.title, "question": item.question, "prior": item.prior}
                for item in desk.examples
            ],
            "asked": here.asked,
            "evidence": [evidence_facts(desk, item) for item in here.evidence],
            "presets": PRESETS,
            "targets": resources.segmenter().targets,
        }

    @router.patch("/sessions/{session}")
    def rename(here: Here, who: User, given: Renamed) -> dict[str, str]:
        here.title = " ".join(given.title.split()) or here.title
        desk.rooms.save(who, here)
        return {"title": here.title}

    @router.delete("/sessions/{session}")
    def delete(session: str, who: User) -> dict[str, bool]:
        delete_room(desk, who, session)
        return {"deleted": True}

    @router.get("/sessions/{session}/export")
    def export(here: Here) -> Response:
        headers = {"Content-Disposition": f'attachment; filename="overread-{here.id}.zip"'}
        return Response(exported(desk, here), media_type="application/zip", headers=headers)

    @router.get("/sessions/{session}/pixels/{ref:path}")
    def pixels(here: Here, ref: str) -> Response:
        plane, data = encode(desk.image(here, ref))
        headers = {"X-Overread-Plane": json.dumps(facts(plane))} | _PRIVATE
        return Response(data, media_type="application/octet-stream", headers=headers)

    @router.get("/sessions/{session}/thumbnails/{ref:path}")
    def small(here: Here, ref: str) -> Response:
        data = thumbnail(desk.image(here, ref))
        return Response(data, media_type="image/jpeg", headers=_PRIVATE)

    @router.get("/sessions/{session}/evidence/{evidence}/mask")
    def mask(here: Here, evidence: str, name: str) -> Response:
        found = mask_of(desk, here, here.find(evidence), name)
        return Response(mask_png(found), media_type="image/png", headers=_PRIVATE)

    @router.get("/sessions/{session}/evidence/{evidence}/heat")
    def heat(here: Here, evidence: str, case: str = "") -> Response:
        found = heat_of(desk, here, here.find(evidence), case)
        return Response(png(found), media_type="image/png", headers=_PRIVATE)

    @router.get("/sessions/{session}/evidence/{evidence}/uncertainty")
    def unsure(here: Here, evidence: str) -> Response:
        layer, told = doubt_of(desk, here, here.find(evidence))
        return _doubted(layer, told)

    @router.get("/sessions/{session}/artifacts/{sha256}")
    def artifact(here: Here, sha256: str) -> Response:
        for item in here.evidence:
            for made in item.artifacts:
                if made.sha256 == sha256:
                    data = resources.artifacts.read(made)
                    kind = "image/png" if made.path.endswith(".png") else "text/plain"
                    return Response(data, media_type=kind, headers=_PRIVATE)
        raise UnknownReference("this session has no such artifact")

    @router.post("/sessions/{session}/clicks")
    def clicks(here: Here, drawn: Drawn) -> Response:
        image, segmenter = desk.image(here, drawn.image), resources.segmenter()
        found = answer(segmenter, image, _prompts(drawn, image, segmenter))
        told = _told(found, image.spacing_mm) | {"version": segmenter.version}
        headers = {"X-Overread-Mask": json.dumps(told)} | _PRIVATE
        return Response(mask_png(found.mask), media_type="image/png", headers=headers)

    @router.post("/sessions/{session}/uncertainty")
    def uncertainty(here: Here, drawn: Drawn) -> Response:
        image, segmenter = desk.image(here, drawn.image), resources.segmenter()
        quality = doubt(segmenter, image, _prompts(drawn, image, segmenter))
        told = {"dice": round(quality.dice, 3), "source": quality.source}
        return _doubted(uncertainty_layer(quality.uncertainty), told)

    @router.post("/sessions/{session}/outlines")
    def outlines(here: Here, who: User, accepted: Accepted) -> dict[str, Any]:
        image = desk.image(here, accepted.image)
        outlined = Outlined(
            image.ref,
            accepted.name,
            _mask(accepted.mask, image.shape),
            resources.segmenter().version if accepted.assisted else None,
            accepted.carried,
        )
        entry = desk.assistant.outline(here.id, outlined)
        if str(image.ref) not in here.asked:
            here.asked.append(str(image.ref))
        for item in desk.assistant.evidence(here.id):
            here.remember(item)
        desk.rooms.save(who, here)
        return evidence_facts(desk, entry)

    @router.post("/sessions/{session}/carried")
    def carried(here: Here, asked: Carried) -> list[dict[str, str]]:
        image = desk.image(here, asked.image)
        mask = _mask(asked.mask, image.shape)
        found = carry(resources.archive, resources.segmenter(), image.ref, mask)
        return [
            {"image": str(other.ref), "mask": base64.b64encode(mask_png(one.mask)).decode()}
            for other, one in found
            if one.found
        ]

    @router.get("/sessions/{session}/report/{kind}")
    def report(here: Here, kind: str) -> Response:
        files = report_files(desk, here, [kind])
        name, data = (
            files[0] if len(files) == 1 else (f"overread-{here.id}-{kind}.zip", zipped(files))
        )
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(data, media_type="application/octet-stream", headers=headers)

    return router


def exported(desk: Desk, room: Room) -> bytes:
    """Return a session as a zip: `session.json`, its artifacts under their names, its report."""
    files = {"session.json": room.model_dump_json(indent=1).encode()}
    for item in room.evidence:
        for artifact in item.artifacts:
            files[f"artifacts/{artifact.path}"] = desk.assistant.resources.artifacts.read(artifact)
    if room.report is not None:
        files |= dict(report_files(desk, room, ["md", "json"]))
    return zipped(list(files.items()))


def report_files(desk: Desk, room: Room, formats: list[str]) -> list[tuple[str, bytes]]:
    """Return the files of a room's report by name; what is not signed is marked DRAFT.

    Raises:
        InputError: A format is unknown, or there is nothing to write in it.
        UnknownReference: The room has no report.
    """
    if room.report is None:
        raise UnknownReference("this session has no report")
    reports = desk.assistant.reports
    current = reports.versions(room.id)[-1]
    return [(file.name, file.data) for file in reports.export(current, formats)]


def zipped(files: list[tuple[str, bytes]]) -> bytes:
    """Return files as a zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return packed.getvalue()


async def tell_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an error of ours with its one sentence."""
    status = 404 if isinstance(error, UnknownReference) else 400
    return JSONResponse({"error": str(error)}, status)


def _mask(text: str, shape: tuple[int, int]) -> Mask:
    try:
        return read_mask(base64.b64decode(text, validate=True), shape)
    except binascii.Error as error:
        raise InputError("the mask is not base64") from error


def _prompts(drawn: Drawn, image: Image, segmenter: Segmenter) -> Prompts:
    previous = _mask(drawn.previous, image.shape) if drawn.previous else None
    target = name_in(segmenter, drawn.target) if drawn.target else None
    return Prompts(target, drawn.points, drawn.box, drawn.strokes, previous)


def _doubted(layer: PIL.Image.Image, told: dict[str, Any]) -> Response:
    headers = {"X-Overread-Quality": json.dumps(told)} | _PRIVATE
    return Response(png(layer), media_type="image/png", headers=headers)


def _told(found: Segmentation, spacing: tuple[float, float] | None) -> dict[str, Any]:
    """Return what is told of a mask beside it."""
    told: dict[str, Any] = {"found": found.found, "confidence": round(found.confidence, 3)}
    told["dice"] = round(expected_dice(found.probability, found.mask), 3)
    told["pixels"] = int(found.mask.sum())
    if spacing is not None and found.mask.any():
        told["area_mm2"] = round(geometry.area(found.mask, spacing), 1)
        told["long_axis_mm"] = round(geometry.long_axis(found.mask, spacing), 1)
    return told
