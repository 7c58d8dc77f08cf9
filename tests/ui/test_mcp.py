"""`overread serve --mcp` used by the SDK's own client: over a subprocess's pipes, and over HTTP."""

import base64
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import PIL.Image
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError

from overread.imaging.phantoms import generate
from tests.ui.conftest import INTERRUPTIBLE, environment

Run = Any


@pytest.fixture
def folder(tmp_path: Path, chest: Path) -> Path:
    """The folder that the server may read, with a link that leads out of it."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "chest.dcm").write_bytes(chest.read_bytes())
    (tmp_path / "secret.png").write_bytes(b"secret")
    (allowed / "link.png").symlink_to(tmp_path / "secret.png")
    return allowed


@pytest.fixture
def connect(data_dir: Path, folder: Path):
    """Open a client to a server of its own, on pipes."""

    @asynccontextmanager
    async def opened(**env: str) -> AsyncIterator[Client]:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-c", INTERRUPTIBLE, "serve", "--mcp", "--folder", str(folder)],
            env=environment(data_dir, **env),
        )
        async with Client(stdio_client(server)) as client:
            yield client

    return opened


async def use(client: Client, tool: str, **arguments: Any) -> Any:
    """Call a tool that must succeed; return its structured result."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error and len(result.content) == 1
    return result.content[0].text


async def test_a_client_opens_segments_measures_and_reads_the_mask(connect) -> None:
    async with connect() as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"open_image", "segment", "measure", "generate_report"} <= set(listed)
        assert listed["segment"].input_schema["required"] == ["session", "image", "target"]
        opened = await use(client, "open_image", path="chest.dcm")
        session = opened["session"]
        assert opened["evidence"][0]["values"]["modality"] == "CR"
        result = await client.call_tool(
            "segment", {"session": session, "image": 1, "target": "effusion"}
        )
        assert "[E2] segment effusion in image 1: found" in result.content[0].text
        told = result.structured_content
        assert told["evidence"][0]["id"] == "E2" and told["evidence"][0]["values"]["found"]
        links = {link.name: link for link in result.content[1:]}
        assert {file["uri"] for file in told["files"]} == {link.uri for link in links.values()}
        read = await client.read_resource(links["mask of effusion"].uri)
        picture = PIL.Image.open(io.BytesIO(base64.b64decode(read.contents[0].blob)))
        mask = np.asarray(picture) > 127
        truth = generate("chest-xray", 61881).masks["effusion"]
        assert mask.shape == truth.shape
        dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert dice > 0.6
        listed_files = (await client.list_resources()).resources
        assert {resource.uri for resource in listed_files} == {l.uri for l in links.values()}
        report = await use(client, "generate_report", session=session, image=1)
        assert report["evidence"][0]["values"]["rests_on"] == "E2"


async def test_tools_tell_whether_they_store_anything(connect) -> None:
    async with connect(OVERREAD_SYNTHESIS__ENABLED="true") as client:
        listed = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}
    assert {name for name, hints in listed.items() if hints.read_only_hint} == {
        "classify",
        "look_up",
    }
    assert {"open_image", "segment", "synthesise"} <= set(listed)
    assert not any(hints.destructive_hint or hints.open_world_hint for hints in listed.values())


async def test_an_image_is_sent_as_content_and_leaves_no_upload(
    connect, data_dir: Path, chest: Path
) -> None:
    sent = base64.b64encode(chest.read_bytes()).decode()
    async with connect() as client:
        first = await use(client, "open_image", content=sent, name="../../etc/Jane Doe.dcm")
        again = await refusal(client, "open_image", content=sent, session=first["session"])
        assert "open already" in again
        buffer = io.BytesIO()
        PIL.Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(buffer, "PNG")
        png = base64.b64encode(buffer.getvalue()).decode()
        second = await use(client, "open_image", content=png, session=first["session"])
        assert second["evidence"][0]["arguments"] == {"image": 2}
        for content, reason in (("%%%", "not base64"), ("aGVsbG8=", "the file is not an image")):
            assert reason in await refusal(client, "open_image", content=content)
    assert list((data_dir / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    "path", ["../secret.png", "link.png", "/etc/passwd", "http://127.0.0.1/x.png", "a\0b", "~/x"]
)
async def test_no_path_leads_out_of_the_folder(connect, path: str) -> None:
    async with connect() as client:
        told = await refusal(client, "open_image", path=path)
    assert "outside the folders" in told or "there is no file" in told
    assert "secret\n" not in told


async def test_what_cannot_be_done_is_one_sentence(connect) -> None:
    async with connect() as client:
        session = (await use(client, "open_image", path="chest.dcm"))["session"]
        cases: list[tuple[str, dict[str, Any], str]] = [
            ("open_image", {}, "either path or content"),
            ("open_image", {"path": "chest.dcm", "content": "aa"}, "either path or content"),
            ("open_image", {"path": "chest.dcm", "url": "x"}, "argument url"),
            ("segment", {"image": 1, "target": "heart"}, "argument session"),
            ("segment", {"session": "guess", "image": 1, "target": "heart"}, "no such session"),
            ("segment", {"session": session, "image": 2, "target": "heart"}, "no image 2"),
            ("segment", {"session": session, "image": 1, "target": "femur"}, "femur"),
            ("segment", {"session": session, "image": 1}, "target"),
            (
                "segment",
                {"session": session, "image": 1, "target": "heart", "points": [[5, 5, 2]]},
                "points",
            ),
            ("steal", {"session": session}, "no tool 'steal'"),
        ]
        for tool, arguments, reason in cases:
            told = await refusal(client, tool, **arguments)
            assert reason in told and "Traceback" not in told, (tool, arguments, told)
        for uri in ("overread://guess/x.png", f"overread://{session}/x.png", "file:///etc/passwd"):
            with pytest.raises(MCPError):
                await client.read_resource(uri)


async def test_limits_are_kept(connect, chest: Path) -> None:
    small = {"OVERREAD_MCP__MAX_UPLOAD_MB": "1", "OVERREAD_MCP__MAX_SESSIONS": "1"}
    async with connect(**small) as client:
        large = base64.b64encode(bytes(1_200_000)).decode()
        assert "more than 1 MB" in await refusal(client, "open_image", content=large)
        old = (await use(client, "open_image", path="chest.dcm"))["session"]
        await use(client, "open_image", path="chest.dcm")
        told = await refusal(client, "segment", session=old, image=1, target="heart")
        assert "no such session" in told


@pytest.fixture
def http_server(data_dir: Path, folder: Path, free_port: int):
    """A server on HTTP with a key; gives its URL."""
    command = [
        sys.executable, "-c", INTERRUPTIBLE, "serve", "--mcp-http", str(free_port), "--folder",
        str(folder),
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        env=environment(data_dir, OVERREAD_MCP__API_KEY="sesame"),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "MCP at" not in (line := process.stderr.readline()):
        assert process.poll() is None, line
    yield f"http://127.0.0.1:{free_port}/mcp"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in errors, errors


async def test_http_clients_bring_the_key_and_see_only_their_own(http_server: str) -> None:
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client

    headers = {"Authorization": "Bearer sesame"}

    @asynccontextmanager
    async def connected() -> AsyncIterator[Client]:
        async with (
            create_mcp_http_client(headers=headers) as http,
            Client(streamable_http_client(http_server, http_client=http)) as client,
        ):
            yield client

    async with connected() as one, connected() as other:
        first = await use(one, "open_image", path="chest.dcm")
        found = await use(one, "segment", session=first["session"], image=1, target="heart")
        assert found["files"]
        second = await use(other, "open_image", path="chest.dcm")
        assert second["session"] != first["session"]
        assert (await other.list_resources()).resources == []
        # A file's name alone, its hash, opens nothing.
        name = found["files"][0]["uri"].rpartition("/")[2]
        with pytest.raises(MCPError):
            await other.read_resource(f"overread://{second['session']}/{name}")


def test_http_without_the_key_or_for_another_host_is_refused(http_server: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"Accept": "application/json, text/event-stream"}
    refused = httpx.post(http_server, json=body, headers=accept)
    assert refused.status_code == 401 and "mcp.api_key" in refused.text
    forged = accept | {"Authorization": "Bearer sesame", "Host": "evil.example"}
    assert httpx.post(http_server, json=body, headers=forged).status_code == 421


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--mcp", "--agent"], "run it beside"),
        (["--folder", "x"], "add --mcp"),
        (["--mcp", "--folder", "nowhere"], "is not a folder"),
    ],
)
def test_flags_that_do_not_fit(run: Run, arguments: list[str], reason: str) -> None:
    done = run("serve", *arguments)
    assert done.returncode == 2 and reason in done.stderr and done.stderr.count("\n") == 1
    assert os.linesep not in done.stdout
