"""A planner of scripted words behind real HTTP, real tools of few lines, and small real images."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import PIL.Image
import pytest
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from overread.agent.assistant import Assistant
from overread.agent.config import Config
from overread.agent.profiles import load_profile
from overread.imaging.errors import InputError
from overread.tools.base import ToolContext, ToolResult
from overread.tools.border import make_tool
from tests.json_http import JsonHandler

hypothesis.settings.register_profile("overread", deadline=None)  # machines differ in speed
hypothesis.settings.load_profile("overread")

MODEL = "overread-planner"
Reply = dict[str, Any] | str | Callable[["ScriptedPlanner"], str | None]


class ScriptedPlanner:
    """Speaks the OpenAI chat protocol and says what it was told to say, in order.

    A reply is a step, raw text, or a function called with the server; one that returns None cuts
    the connection in the middle of the reply.
    """

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        self.served = MODEL
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # clients are killed on purpose
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def say(self, *replies: Reply) -> "ScriptedPlanner":
        """Add replies."""
        self.replies.extend(replies)
        return self

    def texts(self, request: int = -1) -> list[str]:
        """Return the texts of a request's messages, in order."""
        contents = [message["content"] for message in self.requests[request]["messages"]]
        return [c if isinstance(c, str) else c[-1]["text"] for c in contents]

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(planner) -> type[JsonHandler]:
        class Handler(JsonHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = {"object": "list", "data": [{"id": planner.served, "object": "model"}]}
                self.send_json(200, body)

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                request = json.loads(self.rfile.read(length))
                if request["model"] != planner.served:
                    self.send_json(404, {"error": {"message": "The model does not exist."}})
                    return
                if planner.status != 200:
                    self.send_json(planner.status, {"error": {"message": "too long"}})
                    return
                planner.requests.append(request)
                reply = planner.replies.pop(0)
                text = reply(planner) if callable(reply) else reply
                if isinstance(text, dict):
                    text = json.dumps(text)
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                if text is None:
                    self._chunk({"content": '{"why": "'})
                    return
                for start in range(0, len(text), 7):
                    self._chunk({"content": text[start : start + 7]})
                self._chunk({}, "stop")
                usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
                self._event({"choices": [], "usage": usage})
                self.wfile.write(b"data: [DONE]\n\n")

            def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> None:
                choice = {"index": 0, "delta": delta, "finish_reason": finish}
                self._event({"choices": [choice]})

            def _event(self, fields: dict[str, Any]) -> None:
                whole = {"id": "1", "object": "chat.completion.chunk", "created": 1}
                data = json.dumps(whole | {"model": planner.served} | fields)
                self.wfile.write(f"data: {data}\n\n".encode())
                self.wfile.flush()

        return Handler


class BrightnessArgs(BaseModel, extra="forbid"):
    image: int = Field(ge=1)


class FindArgs(BaseModel, extra="forbid"):
    image: int = Field(ge=1)
    target: str
    pause_s: float = 0.0


runs: list[str] = []


def simple_tools(context: ToolContext, names: object = None) -> list[BaseTool]:
    """Two real tools: mean brightness, and whether a nodule (a bright pixel) is there."""

    def brightness(image: int) -> tuple[str, ToolResult]:
        runs.append("brightness")
        picture = context.image(image)
        mean = round(float(np.mean(picture.pixels)), 1)
        result = ToolResult(version="1", image=str(picture.ref), values={"mean": mean})
        return f"brightness of image {image}: {mean}", result

    def find(image: int, target: str, pause_s: float = 0.0) -> tuple[str, ToolResult]:
        runs.append(f"find {target}")
        time.sleep(pause_s)
        if target == "bug":
            raise KeyError("secret name")
        if target == "unicorn":
            raise InputError("'unicorn' is not known")
        picture = context.image(image)
        found = bool(np.max(picture.pixels) > 250) if target == "nodule" else False
        values = {"found": found, "target": target}
        content = f"find {target} in image {image}: {'found' if found else 'not found'}"
        return content, ToolResult(
            version="1", image=str(picture.ref), values=values, confidence=0.9
        )

    return [
        make_tool(brightness, name="brightness", description="Mean.", arguments=BrightnessArgs),
        make_tool(find, name="find", description="Find.", arguments=FindArgs),
    ]


def call(tool: str, why: str = "look", **arguments: Any) -> dict[str, Any]:
    """Return a step with one call."""
    return {"why": why, "calls": [{"tool": tool, "arguments": arguments}]}


def answer(text: str) -> dict[str, Any]:
    """Return a step with an answer."""
    return {"why": "enough", "answer": text}


@pytest.fixture
def planner() -> Iterator[ScriptedPlanner]:
    server = ScriptedPlanner()
    yield server
    server.stop()


@pytest.fixture
def tool_runs() -> list[str]:
    """What `simple_tools` ran, in order."""
    runs.clear()
    return runs


@pytest.fixture
def make_assistant(planner: ScriptedPlanner, data_dir: Path) -> Iterator[Callable[..., Assistant]]:
    """Return a maker of assistants that talk to the scripted planner."""
    opened: list[Assistant] = []

    def make(
        build: Any = simple_tools,
        timeout_s: float = 20.0,
        api: dict[str, Any] | None = None,
        **agent: Any,
    ) -> Assistant:
        config = Config(
            data_dir=data_dir,
            planner={"base_url": planner.url, "timeout_s": timeout_s},
            agent=agent,
            api=api or {},
        )
        opened.append(Assistant(config, load_profile("bundled"), build))
        return opened[-1]

    yield make
    for assistant in opened:
        assistant.close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A grey picture with one bright pixel."""
    pixels = np.full((48, 64), 100, np.uint8)
    pixels[10, 20] = 255
    path = tmp_path / "Jane_Doe.png"
    PIL.Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def dark_picture(tmp_path: Path) -> Path:
    """Another picture, without the bright pixel."""
    path = tmp_path / "second.png"
    PIL.Image.fromarray(np.full((40, 40), 30, np.uint8)).save(path)
    return path
