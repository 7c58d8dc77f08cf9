"""A model of scripted words behind real HTTP."""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any

from tests.json_http import JsonHandler

MODEL = "scripted"
Say = Callable[[str], str | int]
"""From the question to the answer, or to the HTTP status of a refusal."""


def coin(question: str) -> str:
    """Say yes or no, always the same to the same question."""
    return ("Yes.", "No.")[hashlib.sha256(question.encode()).digest()[0] % 2]


class ScriptedModel:
    """Speaks the OpenAI chat protocol; can be away for a while, and counts what it is asked."""

    def __init__(self, say: Say = coin, pause_s: float = 0.0) -> None:
        self.say, self.pause_s = say, pause_s
        self.refuses_logprobs = False
        self.asked: list[dict[str, Any]] = []
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def questions(self) -> list[str]:
        """The words of each request, in order."""
        return [words(request) for request in self.asked]

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # clients are killed on purpose
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening; a request meets a closed port."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _handler(model) -> type[JsonHandler]:
        class Handler(JsonHandler):
            def do_GET(self) -> None:
                self.send_json(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked.append(request)
                time.sleep(model.pause_s)
                said = model.say(words(request))
                if model.refuses_logprobs and request.get("logprobs"):
                    self.send_json(400, {"error": {"message": "logprobs are not supported"}})
                    return
                if isinstance(said, int):
                    self.send_json(said, {"error": {"message": "this question is refused"}})
                    return
                if request.get("stream"):
                    self._stream(said)
                    return
                message = {"role": "assistant", "content": said}
                tokens = [{"token": "x", "logprob": -0.1, "bytes": None, "top_logprobs": []}]
                choice = {
                    "index": 0,
                    "message": message,
                    "finish_reason": "stop",
                    "logprobs": {"content": tokens, "refusal": None},
                }
                usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
                head = {"id": "1", "object": "chat.completion", "created": 1, "model": MODEL}
                self.send_json(200, head | {"choices": [choice], "usage": usage})

            def _stream(self, said: str) -> None:
                head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for delta, finish in (({"content": said}, None), ({}, "stop")):
                    choice = {"index": 0, "delta": delta, "finish_reason": finish}
                    self.wfile.write(
                        f"data: {json.dumps(head | {'choices': [choice]})}\n\n".encode()
                    )
                self.wfile.write(b"data: [DONE]\n\n")

        return Handler


def words(request: dict[str, Any]) -> str:
    """Return the last text of a request."""
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]
