"""In front of every route: nobody gets in unknown, or at what another user has brought or asked.

Gradio serves any file of its upload folder to whoever names its path, and any browser session's events
to whoever names its hash. Here both belong to the user who came with them.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overread.ui.access import Access
from overread.ui.belongings import Belongings

USER = "overread.user"
"""Key of the user's name in the scope of a request that was let in."""

NOT_UPLOADED = "a file of that name was not uploaded; upload it again"
_OPEN = ("/login", "/reading/static/")
_API = "/gradio_api/"
_FILE, _UPLOAD = f"{_API}file=", f"{_API}upload"
# Nothing of ours: they fetch addresses that the user names, or hand out another session's state.
_CLOSED = (f"{_API}proxy=", f"{_API}deep_link", f"{_API}file=http", f"{_API}vibe", f"{_API}runs")
_MAX_JSON = 8 * 1024**2


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, access: Access, belongings: Belongings) -> None:
        """Let in whom `access` knows, to what is theirs by `belongings`."""
        self._app = app
        self._access = access
        self._belongings = belongings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse or let through."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        path = scope["path"]
        user = self._access.user(dict(scope))
        if user is None:
            if path.startswith(_OPEN):
                await self._app(scope, receive, send)
            else:
                await self._unknown(scope)(scope, receive, send)
            return
        scope[USER] = user
        refusal, receive = await self._refusal(scope, receive, user)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif path.rstrip("/") == _UPLOAD and scope["method"] == "POST":
            with self._belongings.arriving():
                await self._app(scope, receive, self._noting(user, send))
        else:
            await self._app(scope, receive, send)

    def _unknown(self, scope: Scope) -> Response:
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        if self._access.logs_in and wants_page and scope["method"] == "GET":
            return RedirectResponse("/login", 303)
        return JSONResponse({"error": "log in first"}, 401)

    async def _refusal(
        self, scope: Scope, receive: Receive, user: str
    ) -> tuple[Response | None, Receive]:
        path, missing = scope["path"], JSONResponse({"error": "there is no such thing"}, 404)
        if path.startswith(_CLOSED):
            return missing, receive
        if path.startswith(_FILE):
            named = unquote(path.removeprefix(_FILE))
            return (None if self._belongings.owns(user, named) else missing), receive
        if not path.startswith(_API):
            return None, receive
        names = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", [])
        if path.startswith((f"{_API}heartbeat/", f"{_API}stream/")):
            names.append(path.removeprefix(_API).split("/")[1])
        if scope["method"] == "POST" and "json" in Headers(scope=scope).get("content-type", ""):
            body, receive = await _buffered(receive)
            if body is None:
                return JSONResponse({"error": "the request is too large"}, 413), receive
            try:
                sent: Any = json.loads(body)
            except ValueError:
                return JSONResponse({"error": "the request is not JSON"}, 400), receive
            # Gradio would fetch a path that is an address, and take any file that was uploaded.
            if not all(self._belongings.owns(user, named) for named in _paths(sent)):
                return JSONResponse({"error": NOT_UPLOADED}, 404), receive
            if isinstance(sent, dict) and sent.get("session_hash"):
                names.append(str(sent["session_hash"]))
        allowed = all(self._belongings.bound(name, user) for name in names)
        return (None if allowed else missing), receive

    def _noting(self, user: str, send: Send) -> Send:
        parts: list[bytes] = []

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    self._note(user, b"".join(parts))
            await send(message)

        return noting

    def _note(self, user: str, body: bytes) -> None:
        try:
            paths = json.loads(body)
        except ValueError:
            return  # a refusal in words
        if isinstance(paths, list):
            self._belongings.note(user, map(str, paths))


async def _buffered(receive: Receive) -> tuple[bytes | None, Receive]:
    """Return a whole body (None if too large), and what gives it once more."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _MAX_JSON:
            return None, receive
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again


def _paths(sent: Any) -> Iterator[str]:
    """Yield the paths of all files that a request names."""
    waiting = [sent]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "path" in item and item["path"] is not None:
                yield str(item["path"])
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
