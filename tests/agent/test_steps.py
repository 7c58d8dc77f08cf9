"""The planner's step: what its schema allows, what its parser accepts."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.agent.steps import MAX_WHY, InvalidStep, Step, ToolCall, parse_step, step_schema
from overread.tools import measure, report, segment, similar
from overread.tools.base import ToolContext

NOTHING: Any = None  # tools are built here, never run
CONTEXT = ToolContext((), NOTHING, NOTHING, NOTHING, NOTHING)
TOOLS = [module.build(CONTEXT) for module in (measure, report, segment, similar)]

SEGMENT = ToolCall(tool="segment", arguments={"image": 1, "target": "nodule"})
RATIO = ToolCall(
    tool="measure",
    arguments={"image": 1, "target": "heart", "quantity": "width_ratio", "reference": "thorax"},
)
SIMILAR = ToolCall(tool="find_similar_cases", arguments={"image": 2, "with_reports": True})
REPORT = ToolCall(tool="generate_report", arguments={"image": 1})
STEPS = [
    Step(why="Look.", calls=(SEGMENT,)),
    Step(why="Look.", calls=(SEGMENT, RATIO, SIMILAR)),
    Step(why="", calls=(REPORT,)),
    Step(why="Enough.", answer='Yes, "enlarged": 0.54 [E2].'),
]


def accepts(schema: dict, text: str) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))


@pytest.mark.parametrize("step", STEPS)
def test_a_step_fits_the_schema_and_survives_the_parser(step: Step) -> None:
    assert accepts(step_schema(TOOLS), step.text())
    assert parse_step(step.text(), TOOLS) == step


def test_what_is_not_allowed_now_is_not_in_the_schema() -> None:
    ask = Step(why="x", ask="Which side?").text()
    assert not accepts(step_schema(TOOLS), ask)
    assert accepts(step_schema(TOOLS, may_ask=True), ask)
    last = step_schema(TOOLS, may_ask=True, must_answer=True)
    assert [accepts(last, text) for text in (ask, STEPS[0].text(), STEPS[3].text())] == [
        False, False, True,
    ]  # fmt: skip
    assert not accepts(step_schema([]), STEPS[0].text())
    look = step_schema(TOOLS, may_ask=True, must_call=True)
    assert [accepts(look, text) for text in (ask, STEPS[0].text(), STEPS[3].text())] == [
        False, True, False,
    ]  # fmt: skip


def test_a_look_may_have_to_be_at_another_image() -> None:
    schema = step_schema(TOOLS, must_call=True, images=[2])

    def look(image: int) -> str:
        call = ToolCall(tool="segment", arguments={"image": image, "target": "nodule"})
        return Step(why="x", calls=(call,)).text()

    assert [accepts(schema, look(image)) for image in (1, 2)] == [False, True]
    assert accepts(step_schema(TOOLS, images=[2]), look(1))  # only where calls are all there is


def test_no_string_is_bounded_in_the_schema() -> None:
    assert "maxLength" not in json.dumps(step_schema(TOOLS))


@pytest.mark.parametrize("step", STEPS)
def test_structured_decoding_writes_steps_as_training_does(step: Step) -> None:
    """As vLLM compiles it: were a space or an order different, the planner would be off its path."""
    xgrammar = pytest.importorskip("xgrammar", reason="comes with vLLM")
    vocabulary = [bytes([byte]) for byte in range(256)]
    compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(vocabulary), max_threads=1)
    schema = json.dumps(step_schema(TOOLS))
    grammar = compiler.compile_json_schema(schema, any_whitespace=False, separators=(",", ":"))
    matcher = xgrammar.GrammarMatcher(grammar, terminate_without_stop_token=True)
    assert matcher.accept_string(step.text())
    assert matcher.is_terminated()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("nonsense", "is not JSON"),
        ('{"why": "x", "answer": "y"', "is not JSON"),
        ("[]", "is not a step"),
        ('{"why": "x"}', "exactly one of calls, answer, ask"),
        ('{"why": "x", "calls": []}', "exactly one of calls, answer, ask"),
        ('{"why": "x", "answer": "y", "ask": "z"}', "exactly one of calls, answer, ask"),
        ('{"why": "x", "answer": ""}', "is not a step"),
        ('{"why": "x", "answer": "y", "more": 1}', "is not a step"),
        ('{"why": "x", "calls": [{"tool": "rm", "arguments": {}}]}', "there is no tool 'rm'"),
        (
            '{"why": "x", "calls": [{"tool": "segment", "arguments": {"image": 1}}]}',
            "segment: argument target",
        ),
        (
            '{"why": "x", "calls": [{"tool": "generate_report", "arguments": {"image": 0}}]}',
            "generate_report: argument image",
        ),
    ],
)
def test_what_is_no_step_says_why(reply: str, message: str) -> None:
    with pytest.raises(InvalidStep, match=message):
        parse_step(reply, TOOLS)


def test_a_long_reason_is_cut_not_refused() -> None:
    reply = json.dumps({"why": "x" * 900, "answer": "y"})
    assert parse_step(reply, TOOLS).why == "x" * MAX_WHY


@given(st.text())
def test_any_text_is_a_step_or_an_explained_refusal(reply: str) -> None:
    try:
        parse_step(reply, TOOLS)
    except InvalidStep as error:
        assert str(error)


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["why", "calls", "answer", "ask", "tool", "arguments", "image"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@given(trees)
def test_any_json_is_a_step_or_an_explained_refusal(tree: object) -> None:
    try:
        parse_step(json.dumps(tree), TOOLS)
    except InvalidStep as error:
        assert str(error)
