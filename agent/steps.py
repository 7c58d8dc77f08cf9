"""One step of the planner: some tool calls, an answer, or a question back. Schema and parser."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, ValidationError, model_validator

from overread.imaging.errors import OverreadError

# Of no use to a decoder, or dear: see `step_schema`. The tool itself still checks lengths.
_LEFT_OUT = ("title", "default", "minLength", "maxLength")
MAX_WHY, MAX_ANSWER, MAX_CALLS = 160, 1200, 3


class InvalidStep(OverreadError):
    """The planner's reply is not a step; the message goes back to the planner."""


class ToolCall(BaseModel, frozen=True, extra="forbid"):
    """A tool and its arguments."""

    tool: str
    arguments: dict[str, Any]


class Step(BaseModel, frozen=True, extra="forbid"):
    """What the planner decided: exactly one of `calls`, `answer`, `ask`, and why."""

    why: str = Field(max_length=MAX_WHY)
    calls: tuple[ToolCall, ...] | None = None
    answer: str | None = Field(default=None, min_length=1, max_length=MAX_ANSWER)
    ask: str | None = Field(default=None, min_length=1, max_length=MAX_ANSWER)

    @model_validator(mode="after")
    def _one_decision(self) -> "Step":
        chosen = [self.calls, self.answer, self.ask]
        if sum(choice is not None for choice in chosen) != 1 or self.calls == ():
            raise ValueError("a step has exactly one of calls, answer, ask")
        return self

    def text(self) -> str:
        """Return the JSON that the planner writes for this step."""
        return self.model_dump_json(exclude_none=True)


def step_schema(
    tools: Sequence[BaseTool],
    *,
    may_ask: bool = False,
    must_answer: bool = False,
    must_call: bool = False,
    images: Sequence[int] = (),
) -> dict[str, Any]:
    """Return the JSON schema that constrains the planner's next step.

    It bounds no text: bounded strings cost xgrammar seconds to compile instead of 0.1 s, and they
    forbid escapes such as quotes. The reply's token limit bounds it, and `parse_step`.

    Args:
        tools: In play; each contributes its argument schema.
        may_ask: Whether the planner may ask the user a question back.
        must_answer: True when the step budget is spent: only an answer is allowed.
        must_call: True when an answer without a look at what it is about failed: only calls are allowed.
        images: Numbers of the images that such calls must be about; any if empty.
    """
    text = {"type": "string"}
    looks = [tool for tool in tools if "image" in argument_schema(tool)["properties"]]
    about = {"image": {"enum": list(images)}} if must_call and images and looks else {}

    def variant(key: str, value: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"why": text, key: value},
            "required": ["why", key],
            "additionalProperties": False,
        }

    def call(tool: BaseTool) -> dict[str, Any]:
        own = argument_schema(tool)
        arguments = own | {"properties": own["properties"] | about}
        return {
            "type": "object",
            "properties": {"tool": {"const": tool.name}, "arguments": arguments},
            "required": ["tool", "arguments"],
            "additionalProperties": False,
        }

    variants = [variant("answer", text)]
    if tools and not must_answer:
        items = {"anyOf": [call(tool) for tool in (looks if about else tools)]}
        calls = {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_CALLS}
        variants.insert(0, variant("calls", calls))
        if must_call:
            return {"anyOf": variants[:1]}
    if may_ask and not must_answer:
        variants.append(variant("ask", text))
    return {"anyOf": variants}


def _bounded(reply: Any) -> Any:
    """Cut the reason, which only people read; an answer that is too long is an error."""
    if isinstance(reply, dict) and isinstance(reply.get("why"), str):
        return reply | {"why": reply["why"][:MAX_WHY]}
    return reply


def argument_schema(tool: BaseTool) -> dict[str, Any]:
    """Return a tool's argument schema as structured decoding wants it: closed and lean."""
    return _closed_schema(tool.get_input_schema())


@lru_cache(maxsize=256)
def _closed_schema(arguments: Any) -> dict[str, Any]:
    return _lean(arguments.model_json_schema()) | {"additionalProperties": False}


def _lean(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _lean(value)
            for key, value in node.items()
            if not (key in _LEFT_OUT and not isinstance(value, dict))
        }
    return [_lean(item) for item in node] if isinstance(node, list) else node


def parse_step(text: str, tools: Sequence[BaseTool]) -> Step:
    """Parse the planner's reply and check every call against its tool's schema.

    Raises:
        InvalidStep: Not JSON, not a step, an unknown tool, or arguments the tool refuses.
    """
    try:
        step = Step.model_validate(_bounded(json.loads(text)))
    except json.JSONDecodeError as error:
        raise InvalidStep(
            f"the reply is not JSON ({error.msg} at character {error.pos})"
        ) from error
    except ValidationError as error:
        raise InvalidStep(f"the reply is not a step: {error.errors()[0]['msg']}") from error
    known = {tool.name: tool for tool in tools}
    for call in step.calls or ():
        if call.tool not in known:
            raise InvalidStep(f"there is no tool '{call.tool}'; the tools are {', '.join(known)}")
        try:
            arguments: Any = known[call.tool].get_input_schema()
            arguments.model_validate(call.arguments)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidStep(f"{call.tool}: argument {where}: {first['msg']}") from error
    return step
