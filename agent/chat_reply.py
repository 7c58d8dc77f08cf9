"""What the agent's answer and events look like in the OpenAI chat protocol."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from overread.agent import events
from overread.agent.answer import Answer
from overread.agent.chat_request import MODEL

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: whole, or chunk by chunk. What OpenAI's protocol has no field for is `overread`.

    Attributes:
        ignored: As in `Asked`; told to the client.
        id: Of the reply. created: Seconds since 1970.
    """

    ignored: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Answer) -> Json:
        """Return a chat completion."""
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return self._head("chat.completion") | {
            "choices": [choice],
            "usage": _usage(answer),
            "overread": self._details(answer),
        }

    def opening(self) -> Json:
        """Return the first chunk."""
        return self._chunk({"role": "assistant", "content": ""})

    def step(self, event: events.Event) -> Json | None:
        """Return a chunk that tells an event, in a field that other clients pass over.

        Pieces of the draft are not told: they were not verified, and a client cannot take back
        what it has shown.
        """
        told = _told(event)
        return None if told is None else self._chunk({"overread": told})

    def closing(self, answer: Answer, with_usage: bool) -> list[Json]:
        """Return the last chunks: the verified text, its end, and the usage if asked for."""
        end = self._chunk({}, "stop") | {"overread": self._details(answer)}
        chunks = [self._chunk({"content": answer.text}), end]
        if with_usage:
            usage = {"choices": [], "usage": _usage(answer)}
            chunks.append(self._head("chat.completion.chunk") | usage)
        return chunks

    def _head(self, kind: str) -> Json:
        return {"id": self.id, "object": kind, "created": self.created, "model": MODEL}

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return self._head("chat.completion.chunk") | {"choices": [choice]}

    def _details(self, answer: Answer) -> Json:
        """Return what the answer rests on; the session is left out, it is forgotten by then."""
        details = answer.model_dump(mode="json", exclude={"text", "session", "waiting"})
        return details | {"ignored": list(self.ignored)}


def _usage(answer: Answer) -> Json:
    """Return the planner's tokens over all its steps."""
    prompt, completion = answer.usage.prompt_tokens, answer.usage.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _told(event: events.Event) -> Json | None:
    match event:
        case events.EvidenceAdded(evidence):
            return {"event": "evidence", "evidence": evidence.model_dump(mode="json")}
        case events.StepPlanned(number, why, calls, seconds):
            named = [{"tool": tool, "arguments": arguments} for tool, arguments in calls]
            return {
                "event": "step_planned",
                "number": number,
                "why": why,
                "calls": named,
                "seconds": seconds,
            }
        case events.ToolStarted(call, tool, arguments):
            return {"event": "tool_started", "call": call, "tool": tool, "arguments": arguments}
        case events.ToolFinished(call, tool, seconds, evidence, error):
            found = evidence.model_dump(mode="json") if evidence else None
            return {
                "event": "tool_finished",
                "call": call,
                "tool": tool,
                "seconds": seconds,
                "evidence": found,
                "error": error,
            }
        case events.Revising(reasons):
            return {"event": "revising", "reasons": list(reasons)}
        case _:
            return None
