"""Models with tool calls of their own: our steps in their protocol, and their replies as steps."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.tools import BaseTool
from openai.types.chat import ChatCompletionChunk

from overread.agent.prompts import Message
from overread.agent.steps import MAX_WHY, argument_schema


def functions(tools: Sequence[BaseTool]) -> list[dict[str, Any]]:
    """Return the tools as the chat protocol's functions."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": argument_schema(tool),
            },
        }
        for tool in tools
    ]


def history(messages: Sequence[Message]) -> list[Message]:
    """Rewrite our steps (assistant messages holding JSON) as the protocol's calls and results.

    The user message after a step with calls answers them: it becomes one tool message a call,
    the text on the first.
    """
    rewritten: list[Message] = []
    waiting: list[str] = []
    for number, message in enumerate(messages):
        step = _step(message)
        if step is None:
            content = message["content"]
            if waiting and message["role"] == "user":
                for call_id in waiting:
                    rewritten.append({"role": "tool", "tool_call_id": call_id, "content": content})
                    content = "See the first result."
            else:
                rewritten.append(message)
            waiting = []
        elif step.get("calls"):
            calls = step["calls"]
            waiting = [f"call_{number}_{index}" for index in range(len(calls))]
            rewritten.append(
                {
                    "role": "assistant",
                    "content": step.get("why", ""),
                    "tool_calls": [
                        {
                            "id": call_id,
                            "type": "function",
                            "function": {
                                "name": call["tool"],
                                "arguments": json.dumps(call["arguments"]),
                            },
                        }
                        for call_id, call in zip(waiting, calls, strict=True)
                    ],
                }
            )
        else:
            text = step.get("answer") or step.get("ask") or ""
            rewritten.append({"role": "assistant", "content": text})
    return rewritten


def _step(message: Message) -> dict[str, Any] | None:
    if message["role"] != "assistant":
        return None
    try:
        step = json.loads(message["content"])
    except json.JSONDecodeError:
        return None
    return step if isinstance(step, dict) else None


@dataclass
class Received:
    """A streamed reply as it comes in: text, or tool calls, or both."""

    content: str = ""
    calls: dict[int, dict[str, str]] = field(default_factory=dict)
    started: bool = False
    finished: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, chunk: ChatCompletionChunk) -> str:
        """Take in a chunk; return the text that it brought."""
        if chunk.usage:
            self.prompt_tokens = chunk.usage.prompt_tokens
            self.completion_tokens = chunk.usage.completion_tokens
        if not chunk.choices:
            return ""
        self.started = True
        choice = chunk.choices[0]
        self.finished = self.finished or choice.finish_reason is not None
        for part in choice.delta.tool_calls or ():
            call = self.calls.setdefault(part.index, {"name": "", "arguments": ""})
            if part.function:
                call["name"] += part.function.name or ""
                call["arguments"] += part.function.arguments or ""
        piece = choice.delta.content or ""
        self.content += piece
        return piece

    def step(self) -> str:
        """Return the reply as the JSON of a step: its tool calls, or else its text as an answer."""
        if not self.calls:
            return json.dumps({"why": "", "answer": self.content.strip()})
        calls = [
            {"tool": call["name"], "arguments": _arguments(call["arguments"])}
            for _, call in sorted(self.calls.items())
        ]
        return json.dumps({"why": " ".join(self.content.split())[:MAX_WHY], "calls": calls})


def _arguments(text: str) -> Any:
    """Return the arguments, or the text itself when it is not JSON: the step parser refuses it."""
    try:
        return json.loads(text or "{}")
    except json.JSONDecodeError:
        return text
