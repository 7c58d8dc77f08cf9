"""What every registered tool must do. A new tool passes this without a line added here."""

from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool

from overread.agent.steps import argument_schema
from overread.imaging.phantoms import generate
from overread.tools.base import Evidence, ToolContext, ToolResult
from overread.tools.registry import build_tools, tool_names
from tests.tools.conftest import MakeContext

EVIDENCE = Evidence(
    id="E1",
    tool="segment",
    arguments={},
    content="",
    version="1",
    image="ph-chest-xray-00001-v0/s0/i0",
    values={"found": False, "target": "nodule"},
    confidence=0.9,
)


@pytest.fixture
def context(make_context: MakeContext) -> ToolContext:
    return make_context(generate("chest-xray", 1), evidence=(EVIDENCE,))


@pytest.fixture(params=tool_names())
def tool(request: pytest.FixtureRequest, context: ToolContext) -> BaseTool:
    return build_tools(context, [request.param])[0]


def minimal(tool: BaseTool, image: int = 1) -> dict[str, Any]:
    """Return the least arguments that the tool's own schema allows."""
    schema = argument_schema(tool)
    values: dict[str, Any] = {}
    for name in schema.get("required", []):
        entry = schema["properties"][name]
        known = {"target": "heart", "what": "heart", "query": "effusion"}
        values[name] = known.get(name) or entry.get("enum", [image])[0]
    return values


def call(tool: BaseTool, args: dict[str, Any]) -> ToolMessage:
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": args})


def test_a_reply_is_a_sentence_and_a_result(tool: BaseTool, context: ToolContext) -> None:
    reply = call(tool, minimal(tool))
    assert isinstance(reply.content, str) and reply.content
    if reply.status == "success":
        assert isinstance(reply.artifact, ToolResult)
        assert reply.content.startswith(tool.name)
        assert ToolResult.model_validate_json(reply.artifact.model_dump_json()) == reply.artifact
        for artifact in reply.artifact.artifacts:
            assert context.artifacts.read(artifact)
    else:
        # There is neither index nor corpus here, no second image to compare with, nothing said to be
        # explained, and making up pictures is off.
        assert tool.name in ("find_similar_cases", "look_up", "compare", "explain", "synthesise")


def test_the_schema_is_closed_self_contained_and_explained(tool: BaseTool) -> None:
    schema = argument_schema(tool)
    assert schema["additionalProperties"] is False
    assert "$defs" not in schema, "a nested definition breaks inside the planner's step schema"
    assert tool.description
    assert all(entry.get("description") for entry in schema["properties"].values())


def test_a_missing_image_comes_back_as_a_message(tool: BaseTool) -> None:
    if "image" not in argument_schema(tool)["properties"]:
        pytest.skip(f"{tool.name} works on no image")
    reply = call(tool, minimal(tool) | {"image": 7})
    assert reply.status == "error"
    assert reply.content == "there is no image 7; this session has 1 image(s)"


@pytest.mark.parametrize("extra", [{"surprise": 1}, {"image": "one"}, {"image": 0}])
def test_bad_arguments_come_back_as_a_message(tool: BaseTool, extra: dict[str, Any]) -> None:
    reply = call(tool, minimal(tool) | extra)
    assert reply.status == "error" and "argument" in reply.content


def test_equal_calls_give_equal_replies(tool: BaseTool) -> None:
    first, second = call(tool, minimal(tool)), call(tool, minimal(tool))
    assert (first.content, first.artifact) == (second.content, second.artifact)
