"""The agent as a model: POST /v1/chat/completions of the OpenAI protocol, on top of `Assistant`."""

import asyncio
import hmac
import json
import logging
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from overread.agent.assistant import Assistant, last_answer
from overread.agent.chat_errors import ApiError, body_of, explain, headers_of
from overread.agent.chat_reply import Reply
from overread.agent.chat_request import MODEL, Asked, ChatRequest, parse, write_images
from overread.agent.events import AnswerReady, Event, StepPlanned
from overread.agent.intake import register
from overread.agent.serving import served_models
from overread.agent.sessions import remembered
from overread.agent.threads import in_thread
from overread.imaging.errors import ConfigError, OverreadError, UnreadableImage
from overread.imaging.study import ImageRef

logger = logging.getLogger(__name__)

T = TypeVar("T")
_BODY_TIMEOUT_S = 60.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Slots:
    """Lets so many requests run at a time and so many wait; more are told to come back."""

    def __init__(self, running: int, waiting: int) -> None:
        """Open all slots."""
        self._free = asyncio.Semaphore(running)
        self._limit = running + waiting
        self._inside = 0

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a slot, after waiting for one.

        Raises:
            ApiError: Too many wait already.
        """
        if self._inside >= self._limit:
            raise ApiError(429, "queue_full", "too many requests are waiting; ask again later")
        self._inside += 1
        try:
            async with self._free:
                yield
        finally:
            self._inside -= 1


class _Stream(StreamingResponse):
    """Server-sent events that hold what they need until the last one, whatever the end."""

    def __init__(self, lines: AsyncIterator[str], held: AsyncExitStack) -> None:
        super().__init__(lines, media_type="text/event-stream")
        self.headers["Cache-Control"] = "no-cache"
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


def session_prefix(port: int) -> str:
    """Return how the sessions and upload folders of the endpoint at a port begin."""
    return f"api-{port}-"


def create_app(assistant: Assistant) -> FastAPI:
    """Return the endpoint for an assistant, configured by `assistant.config.api`.

    Every request is a session of its own that is forgotten with the reply.

    Raises:
        ConfigError: It would be open to the network without a key.
    """
    config = assistant.config
    api = config.api
    if api.host not in _LOOPBACK and api.api_key is None:
        raise ConfigError(
            f"api.host {api.host} opens the agent to the network; set api.api_key "
            "(OVERREAD_API__API_KEY) first"
        )
    slots = Slots(api.max_running, api.max_waiting)
    app = FastAPI(title="Overread", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(OverreadError)
    @app.exception_handler(HTTPException)
    @app.exception_handler(Exception)
    async def tell(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):  # no such path, or another method
            error = ApiError(error.status_code, "not_found", f"{request.url.path}: {error.detail}")
        told = explain(error)
        return JSONResponse(body_of(told), told.status, headers_of(told))

    @app.exception_handler(ClientDisconnect)
    async def let_go(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.get("/health")
    async def health() -> Response:
        try:
            ready = await in_thread(lambda: served_models(config)) is not None
        except ConfigError:
            ready = False
        status = "ok" if ready else "the planner does not answer"
        return JSONResponse({"status": status}, 200 if ready else 503)

    @app.get("/v1/models")
    async def models(request: Request) -> Response:
        _check_client(request, api.api_key)
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "overread"}
        return JSONResponse({"object": "list", "data": [model]})

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        _check_client(request, api.api_key)
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            # A page in the user's browser can send anything but this without being allowed to.
            raise ApiError(415, "invalid_request", "send JSON, with Content-Type: application/json")
        async with AsyncExitStack() as held:
            await held.enter_async_context(slots.take())
            body = await _read(request, api.max_body_mb * 1024**2)
            asked_for, asked, refs = await in_thread(lambda: _take_in(assistant, body))
            reply = Reply(asked.ignored)
            session = f"{session_prefix(api.port)}{secrets.token_hex(8)}"
            source = assistant.astream(asked.question, refs, session, keep=False)
            stream = await held.enter_async_context(aclosing(cast(Any, source)))
            if not asked_for.stream:
                answer = await _unless_gone(request, last_answer(stream))
                return JSONResponse(reply.whole(answer))
            first = await _unless_gone(request, _until_planned(stream))
            lines = _lines(reply, first, stream, asked_for.wants_usage)
            return _Stream(lines, held.pop_all())

    return app


def tidy(assistant: Assistant) -> None:
    """Delete what a killed endpoint at the same port left: its sessions and uploads.

    Call it while holding the port: then no other endpoint can be using them.
    """
    data, prefix = assistant.resources.data, session_prefix(assistant.config.api.port)
    for session in remembered(data, prefix):
        assistant.forget(session)
    for folder in _uploads(data).glob(f"{prefix}*"):
        with suppress(OSError):
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()


def _check_client(request: Request, api_key: str | None) -> None:
    """Refuse a client without the key; all are welcome when none is set."""
    if api_key is None:
        return
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), api_key.encode()):
        raise ApiError(401, "invalid_api_key", "the API key is missing or wrong (api.api_key)")


async def _read(request: Request, limit: int) -> bytes:
    """Return the body.

    A body that is too large is read to its end all the same, and thrown away: a client whose
    sending is cut off sees a broken connection instead of the reason.
    """
    size, pieces = 0, []
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for piece in request.stream():
                size += len(piece)
                if size <= limit:
                    pieces.append(piece)
    except TimeoutError:
        raise ApiError(
            408, "timeout", "the request did not arrive in time; send it again"
        ) from None
    if size > limit:
        raise ApiError(
            413,
            "request_too_large",
            f"the request has more than {limit // 1024**2} MB (api.max_body_mb); send smaller or "
            "fewer images",
        )
    return b"".join(pieces)


def _take_in(assistant: Assistant, body: bytes) -> tuple[ChatRequest, Asked, list[ImageRef]]:
    """Return the request, the question, and its images de-identified and stored.

    The files as they were sent exist only while this runs.
    """
    limits = assistant.config.agent
    try:
        request, asked = parse(body, limits.max_images, limits.max_question_chars)
    except ValidationError as error:
        raise explain(error) from None
    if not asked.images:
        return request, asked, []
    resources = assistant.resources
    prefix = session_prefix(assistant.config.api.port)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=_uploads(resources.data)) as name:
        paths = write_images(asked.images, Path(name))
        try:
            return request, asked, register(resources, paths, limits.max_images)
        except UnreadableImage as error:
            raise UnreadableImage(str(error).replace(f"{name}/", "")) from None


def _uploads(data: Path) -> Path:
    folder = data / "uploads"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Return what `work` gives; give it up when the client hangs up.

    Raises:
        ClientDisconnect: It did.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _until_planned(stream: AsyncIterator[Event]) -> list[Event]:
    """Return the events up to the planner's first reply: until then an error has its status."""
    first: list[Event] = []
    async for event in stream:
        first.append(event)
        if isinstance(event, StepPlanned | AnswerReady):
            break
    return first


async def _lines(
    reply: Reply, first: list[Event], stream: AsyncIterator[Event], with_usage: bool
) -> AsyncIterator[str]:
    """Yield server-sent events; an error on the way is the last one."""
    yield _line(reply.opening())
    try:
        async for event in _chain(first, stream):
            if isinstance(event, AnswerReady):
                for chunk in reply.closing(event.answer, with_usage):
                    yield _line(chunk)
                yield "data: [DONE]\n\n"
            elif (told := reply.step(event)) is not None:
                yield _line(told)
    except Exception as error:  # the status was sent: the error can only be told inside the stream
        if not isinstance(error, OverreadError):
            logger.exception("the agent failed in the middle of a stream")
        yield _line(body_of(explain(error)))


async def _chain(first: list[Event], stream: AsyncIterator[Event]) -> AsyncIterator[Event]:
    for event in first:
        yield event
    async for event in stream:
        yield event


def _line(fields: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(fields)}\n\n"
