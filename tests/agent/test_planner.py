"""The planner's client against real HTTP: each failure is one clear sentence."""

import asyncio
import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from overread.agent import native
from overread.agent.config import PlannerConfig
from overread.agent.planner import Planner
from overread.agent.profiles import load_profile
from overread.imaging.errors import PlannerUnavailable

MESSAGES = [{"role": "user", "content": "Question: ?"}]


@pytest.fixture
async def client(planner):
    made = Planner(PlannerConfig(base_url=planner.url, timeout_s=20), load_profile("bundled"))
    yield made
    await made.close()


async def test_a_step_is_streamed_and_counted(planner, client):
    planner.say({"why": "x", "answer": "y"})
    pieces = []
    text, spent = await client.step(MESSAGES, {"type": "object"}, on_text=pieces.append)
    assert json.loads(text) == {"why": "x", "answer": "y"}
    assert "".join(pieces) == text and len(pieces) > 1
    assert (spent.prompt_tokens, spent.completion_tokens) == (10, 5)
    assert planner.requests[0]["response_format"]["json_schema"]["strict"] is True


async def test_only_our_own_server_is_sent_fields_of_vllm(planner, client):
    planner.say("fine", "fine")
    await client.write(MESSAGES)
    config = PlannerConfig(port=urlsplit(planner.url).port)
    own = Planner(config, load_profile("bundled"))
    await own.write(MESSAGES)
    await own.close()
    sent = ["repetition_detection" in request for request in planner.requests]
    assert sent == [False, True]


async def test_no_server(planner):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = Planner(PlannerConfig(port=port), load_profile("bundled"))
    with pytest.raises(PlannerUnavailable, match=r"no planner is running at .*overread serve"):
        await client.write(MESSAGES)
    await client.close()


async def test_wrong_model(planner, client):
    planner.served = "other-model"
    with pytest.raises(
        PlannerUnavailable, match=r"has no model 'overread-planner' \(it serves: other"
    ):
        await client.write(MESSAGES)


async def test_cut_off_in_the_middle(planner, client):
    planner.say(lambda _: None)
    with pytest.raises(PlannerUnavailable, match="stopped in the middle of a reply"):
        await client.write(MESSAGES)


async def test_too_slow(planner):
    config = PlannerConfig(base_url=planner.url, timeout_s=0.5)
    client = Planner(config, load_profile("bundled"))
    planner.say(lambda _: time.sleep(3))
    with pytest.raises(PlannerUnavailable, match=r"within 0\.5 s"):
        await client.write(MESSAGES)
    await client.close()


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "refused the request: .*too long"), (401, "refused the key"), (500, "failed .HTTP 500")],
)
async def test_refusals(planner, client, status, message):
    planner.status = status
    with pytest.raises(PlannerUnavailable, match=message):
        await client.write(MESSAGES)


async def test_a_passing_failure_is_tried_again(planner, client):
    planner.status = 500
    asyncio.get_running_loop().call_later(0.2, setattr, planner, "status", 200)
    planner.say("fine")
    assert (await client.write(MESSAGES))[0] == "fine"


def test_our_steps_become_the_protocols_calls():
    step = {
        "why": "look",
        "calls": [{"tool": "a", "arguments": {"x": 1}}, {"tool": "b", "arguments": {}}],
    }
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": json.dumps(step)},
        {"role": "user", "content": "[E2] r\n[E3] t"},
        {"role": "assistant", "content": json.dumps({"why": "", "answer": "Yes [E2]."})},
        {"role": "user", "content": "Question: next"},
    ]
    rewritten = native.history(messages)
    assert [m["role"] for m in rewritten] == [
        "system", "user", "assistant", "tool", "tool", "assistant", "user",
    ]  # fmt: skip
    calls = rewritten[2]["tool_calls"]
    assert [c["function"]["name"] for c in calls] == ["a", "b"]
    assert [m["tool_call_id"] for m in rewritten[3:5]] == [c["id"] for c in calls]
    assert rewritten[3]["content"] == "[E2] r\n[E3] t"
    assert rewritten[5]["content"] == "Yes [E2]."


def test_the_models_calls_become_our_step():
    from openai.types.chat import ChatCompletionChunk

    received = native.Received()
    for delta in (
        {"content": "I look."},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "seg", "arguments": '{"im'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": 'age": 1}'}}]},
        {"tool_calls": [{"index": 1, "id": "d", "function": {"name": "bad", "arguments": "{"}}]},
    ):
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        received.add(ChatCompletionChunk.model_validate(chunk | {"choices": [choice]}))
    assert json.loads(received.step()) == {
        "why": "I look.",
        "calls": [{"tool": "seg", "arguments": {"image": 1}}, {"tool": "bad", "arguments": "{"}],
    }


def test_plain_text_of_such_a_model_is_its_answer():
    received = native.Received(content=" Yes [E2]. ")
    assert json.loads(received.step()) == {"why": "", "answer": "Yes [E2]."}
