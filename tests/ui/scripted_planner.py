"""A real HTTP server that speaks the OpenAI chat protocol and replies with prepared steps.

It stands in for the planner's weights alone: client, graph, tools and verifier are the real ones.
"""

import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "overread-planner"
Step = dict[str, Any]
REPORT = "Write a report of this image."
SLOW_S = 3
EVIDENCE = re.compile(r"^\[E([0-9]+)\]", re.MULTILINE)


def step_for(question: str, replies: int, next_evidence: int) -> Step:
    """Return the next step.

    Args:
        question: Of the user.
        replies: Steps since then.
        next_evidence: Number that the first tool of this question gets.
    """
    first, second = f"[E{next_evidence}]", f"[E{next_evidence + 1}]"
    target = "thorax" if "thorax" in question else "effusion"
    look = {"why": f"look for the {target}", "calls": [_call("segment", target=target)]}
    if question == REPORT:
        steps = [
            look,
            {"why": "write it down", "calls": [_call("generate_report")]},
            {"why": "done", "answer": f"A draft report was written {second}."},
        ]
    elif "look like" in question:
        steps = [
            {"why": "look them up", "calls": [_call("find_similar_cases")]},
            {"why": "done", "answer": f"The similar cases are listed {first}."},
        ]
    elif "modality" in question:
        steps = [{"why": "the file says so", "answer": "The modality is CR [E1]."}]
    else:
        steps = [look, {"why": "the tool decided", "answer": f"See the outline {first}."}]
    return steps[min(replies, len(steps) - 1)]


def _call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": {"image": 1} | arguments}


def _step(messages: list[dict[str, Any]]) -> Step:
    question, replies, evidence, next_evidence = "", 0, 0, 1
    for message in messages:
        text = message["content"]
        if isinstance(text, list):
            text = text[-1]["text"]
        if message["role"] == "assistant":
            replies += 1
            continue
        evidence = max([evidence, *(int(number) for number in EVIDENCE.findall(text))])
        if "Question: " in text:
            question, replies = text.split("Question: ")[-1].strip(), 0
            next_evidence = evidence + 1
    return step_for(question, replies, next_evidence)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        models = {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0}]}
        self._reply(json.dumps(models).encode(), "application/json")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "Wait for ever?" in str(request["messages"][-1]["content"]):
            threading.Event().wait(300)
        if "Take your time:" in str(request["messages"]):
            time.sleep(SLOW_S)
        if "response_format" in request:
            text = json.dumps(_step(request["messages"]))
        else:
            text = "A chest radiograph."
        half = len(text) // 2
        chunks = [
            {"choices": [_choice(text[:half])]},
            {"choices": [_choice(text[half:], "stop")]},
            {
                "choices": [],
                "usage": {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16},
            },
        ]
        head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
        lines = [f"data: {json.dumps(head | chunk)}\n\n" for chunk in chunks]
        self._reply("".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream")

    def _reply(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _choice(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}


@contextmanager
def serving(port: int = 0) -> Iterator[int]:
    """Serve until the block ends; gives the port."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    with serving(int(sys.argv[1])):
        threading.Event().wait()
