"""The tools over the Model Context Protocol: on stdin and stdout, or over HTTP on this machine."""

import base64
import hmac
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mcp_types as types
from langchain_core.tools import BaseTool
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from overread import __version__
from overread.agent.answer import DISCLAIMER
from overread.agent.listening import run_until_signal
from overread.agent.mcp_desk import Desk
from overread.agent.prompts import evidence_line
from overread.agent.steps import argument_schema
from overread.agent.threads import in_thread
from overread.imaging.errors import InputError, OverreadError
from overread.tools.base import Artifact, Evidence

OPEN = "open_image"
SCHEME = "overread"
INSTRUCTIONS = (
    "Open images with open_image, then examine them with the other tools: each takes the session "
    "that open_image gave and the number of an image in it. Results are evidence, numbered E1, "
    f"E2, ...; cite them. Left and right are the patient's. {DISCLAIMER}"
)
_SESSION = {"type": "string", "description": "As given by open_image."}
_LOOKS = frozenset({"classify", "look_up"})
"""Tools that store nothing."""
_ADDS = frozenset(
    {
        OPEN, "compare", "explain", "find_similar_cases", "generate_report", "measure", "quantify",
        "segment", "synthesise",
    }
)  # fmt: skip
"""Tools that store files and change none. Of plug-ins nothing is said: clients take the worst then."""
_KINDS = {".png": "image/png", ".md": "text/markdown", ".json": "application/json"}


class OpenArgs(BaseModel, extra="forbid"):
    """What a client fills in to open an image."""

    path: str | None = Field(
        None, max_length=4096, description="File in a folder that this server may read."
    )
    content: str | None = Field(None, description="The file itself in base64, instead of a path.")
    name: str = Field(
        "", max_length=255, description="Name of the file sent as content, for its suffix."
    )
    session: str | None = Field(
        None, max_length=64, description="To add an image to a session; a new session if absent."
    )


class Reply(BaseModel, extra="forbid"):
    """The structured half of every result.

    Attributes:
        session: To go on with.
        evidence: What was found out, with its values.
        files: Resources to read: URI and name of each.
    """

    session: str
    evidence: list[dict[str, Any]]
    files: list[dict[str, str]]


def make_server(desk: Desk, *, lists_files: bool) -> Server[Any]:
    """Return the server.

    Args:
        desk: What does the work.
        lists_files: Whether `resources/list` names the files of all sessions: only where there is
            one client.
    """

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        offered = [_described(tool) for tool in await in_thread(desk.tools)]
        return types.ListToolsResult(tools=[_opening(), *offered])

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = dict(params.arguments or {})
        try:
            if params.name == OPEN:
                given = OpenArgs.model_validate(arguments)
                session, found = await desk.open(
                    given.session, given.path, given.content, given.name
                )
            else:
                session = arguments.pop("session", None)
                if not isinstance(session, str):
                    raise InputError("argument session: give the session that open_image gave")
                found = [await desk.call(session, params.name, arguments)]
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            return _refused(f"argument {where}: {first['msg']}")
        except OverreadError as error:
            return _refused(str(error))
        return _told(session, found)

    async def list_resources(_: Any, __: Any) -> types.ListResourcesResult:
        files = desk.files() if lists_files else []
        return types.ListResourcesResult(
            resources=[
                types.Resource(
                    uri=uri_of(session, artifact), name=artifact.name, mime_type=_kind(artifact)
                )
                for session, artifact in files
            ]
        )

    async def list_templates(_: Any, __: Any) -> types.ListResourceTemplatesResult:
        template = types.ResourceTemplate(
            uri_template=f"{SCHEME}://{{session}}/{{file}}",
            name="file of a session",
            description="Masks, outlines and reports that tools made, as their results name them.",
        )
        return types.ListResourceTemplatesResult(resource_templates=[template])

    async def read_resource(
        _: Any, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        scheme, _, rest = params.uri.partition("://")
        session, _, name = rest.partition("/")
        try:
            if scheme != SCHEME:
                raise InputError(f"this server has no resources of the kind '{scheme:.20}'")
            artifact, data = desk.read(unquote(session), unquote(name))
        except OverreadError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from error
        blob = types.BlobResourceContents(
            uri=params.uri, mime_type=_kind(artifact), blob=base64.b64encode(data).decode()
        )
        return types.ReadResourceResult(contents=[blob])

    return Server(
        "overread",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


async def serve_stdio(desk: Desk) -> None:
    """Serve one client on stdin and stdout until it closes them."""
    server = make_server(desk, lists_files=True)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def serve_http(
    desk: Desk,
    listening: socket.socket,
    *,
    max_body_mb: int,
    api_key: str | None,
    on_ready: Callable[[], None],
) -> None:
    """Serve clients at `/mcp` over streamable HTTP until SIGINT or SIGTERM.

    Args:
        desk: What does the work.
        listening: On a loopback address; requests that name another host are refused.
        max_body_mb: Largest request.
        api_key: Asked of clients as a bearer token, if set.
        on_ready: Called before the first request is answered.
    """
    app: ASGIApp = make_server(desk, lists_files=False).streamable_http_app(
        max_request_body_size=max_body_mb * 1024**2
    )
    if api_key is not None:
        app = _Guard(app, api_key)
    run_until_signal(app, listening, on_ready)


class _Guard:
    """Let only requests through that bring the key."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app, self._wanted = app, f"Bearer {api_key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._wanted):
                refusal = PlainTextResponse("the API key is missing or wrong (mcp.api_key)", 401)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def uri_of(session: str, artifact: Artifact) -> str:
    """Return the URI of a file of a session."""
    return f"{SCHEME}://{session}/{Path(artifact.path).name}"


def _described(tool: BaseTool) -> types.Tool:
    schema = argument_schema(tool)
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=schema
        | {
            "properties": {"session": _SESSION, **schema["properties"]},
            "required": ["session", *schema.get("required", [])],
        },
        output_schema=Reply.model_json_schema(),
        annotations=_hints(tool.name),
    )


def _opening() -> types.Tool:
    return types.Tool(
        name=OPEN,
        description="Open a medical image (DICOM, NIfTI, PNG, JPEG, TIFF or video); de-identified.",
        input_schema=OpenArgs.model_json_schema(),
        output_schema=Reply.model_json_schema(),
        annotations=_hints(OPEN),
    )


def _hints(name: str) -> types.ToolAnnotations | None:
    if name not in _LOOKS | _ADDS:
        return None
    return types.ToolAnnotations(
        read_only_hint=name in _LOOKS, destructive_hint=False, open_world_hint=False
    )


def _told(session: str, found: list[Evidence]) -> types.CallToolResult:
    artifacts = list(dict.fromkeys(a for entry in found for a in entry.artifacts))
    links = [
        types.ResourceLink(
            type="resource_link", uri=uri_of(session, a), name=a.name, mime_type=_kind(a)
        )
        for a in artifacts
    ]
    text = "\n".join(evidence_line(entry.id, entry.content) for entry in found)
    reply = Reply(
        session=session,
        evidence=[entry.model_dump(mode="json", exclude={"artifacts"}) for entry in found],
        files=[{"uri": link.uri, "name": link.name} for link in links],
    )
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=f"session {session}\n{text}"), *links],
        structured_content=reply.model_dump(mode="json"),
    )


def _refused(reason: str) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=reason)], is_error=True
    )


def _kind(artifact: Artifact) -> str:
    return _KINDS.get(Path(artifact.path).suffix, "application/octet-stream")
