"""The agent as a model: real HTTP and real clients; only the planner's words are given."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import PIL.Image
import pytest
import uvicorn

from overread.agent import chat_request
from overread.agent.chat_api import create_app, session_prefix, tidy
from overread.agent.chat_errors import ApiError
from overread.agent.config import ApiConfig
from overread.agent.listening import listen
from overread.imaging.errors import ConfigError, InputError, PlannerUnavailable
from overread.imaging.phantoms import generate, write
from tests.agent.said import NODULE, QUESTION, YES, answer

ROWS = "How many rows has image 1?"


def data_url(path: Path, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(path.read_bytes()).decode()}"


def image_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def image(path: Path, media_type: str = "image/png") -> dict[str, Any]:
    return image_part(data_url(path, media_type))


def ask(*parts: dict[str, Any], question: str = QUESTION) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]


class Endpoint:
    """The endpoint of one assistant, on a port of its own."""

    def __init__(self, assistant, listening: socket.socket) -> None:
        self.assistant = assistant
        self.url = f"http://127.0.0.1:{assistant.config.api.port}/v1"
        config = uvicorn.Config(create_app(assistant), log_level="critical")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()

    def client(self, key: str = "none", retries: int = 0) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=retries, timeout=60)

    def say(self, messages: list[dict[str, Any]], **more: Any) -> Any:
        with self.client() as client:
            reply = client.chat.completions.create(
                **{"model": "agent", "messages": messages} | more  # type: ignore[arg-type]
            )
            return list(reply) if more.get("stream") else reply

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def serve(make_assistant: Callable[..., Any]) -> Iterator[Callable[..., Endpoint]]:
    """Return a maker of endpoints; `api` are settings, the rest goes to `make_assistant`."""
    opened: list[Endpoint] = []

    def start(api: dict[str, Any] | None = None, **more: Any) -> Endpoint:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        assistant = make_assistant(api={"port": port} | (api or {}), **more)
        listening = listen("127.0.0.1", port, "--agent-port (api.port)")
        opened.append(Endpoint(assistant, listening))
        return opened[-1]

    yield start
    for endpoint in opened:
        endpoint.stop()


def leftovers(data: Path, *words: bytes) -> list[str]:
    """Return the files of the data folder that hold any of the words."""
    files = [path for path in data.rglob("*") if path.is_file()]
    return [path.name for path in files if any(word in path.read_bytes() for word in words)]


def test_a_question_with_an_image(planner, serve, picture):
    planner.say(NODULE, YES)
    reply = serve().say(ask(image(picture)), temperature=0.7, seed=1)
    assert (reply.object, reply.model) == ("chat.completion", "agent")
    assert reply.choices[0].message.content == "Yes, there is a nodule [E2]."
    assert reply.choices[0].finish_reason == "stop"
    usage = reply.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (20, 10, 30)
    details = reply.overread
    assert [entry["id"] for entry in details["evidence"]] == ["E1", "E2"]
    assert details["evidence"][1]["values"] == {"found": True, "target": "nodule"}
    assert (details["abstained"], details["removed"]) == (False, [])
    assert details["confidence"] == 0.9
    assert details["usage"]["tool_calls"] == 1 and details["usage"]["steps"] == 2
    assert details["ignored"] == ["seed", "temperature"]
    assert "Not for diagnosis" in details["disclaimer"]


def test_a_dicom_file_as_data_url(planner, serve, tmp_path):
    planner.say(answer("It is a radiograph [E1]."))
    dicom = write(generate("chest-xray", 61881), tmp_path)
    asked = ask(image(dicom, "application/dicom"), question="What kind of image is this?")
    reply = serve().say(asked)
    (evidence,) = reply.overread["evidence"]
    assert evidence["values"]["modality"] in ("CR", "DX")


def test_a_jpeg_and_a_question_without_image(planner, serve, tmp_path):
    PIL.Image.new("L", (30, 20)).save(tmp_path / "a.jpg")
    endpoint = serve()
    planner.say(answer("Image 1 has 20 rows [E1]."))
    reply = endpoint.say(ask(image(tmp_path / "a.jpg", "image/jpeg"), question=ROWS))
    assert reply.choices[0].message.content == "Image 1 has 20 rows [E1]."
    planner.say(answer("There is not enough evidence."))
    reply = endpoint.say([{"role": "user", "content": "What is a nodule?"}])
    assert reply.overread["abstained"] and reply.overread["evidence"] == []


def test_what_fails_verification_is_told_as_removed(planner, serve, picture):
    wrong = answer("There is a nodule [E2]. It measures 9 mm [E2].")
    planner.say(NODULE, wrong, wrong)
    reply = serve().say(ask(image(picture)))
    assert reply.choices[0].message.content == "There is a nodule [E2]."
    assert [item["sentence"] for item in reply.overread["removed"]] == ["It measures 9 mm [E2]."]


def test_a_stream_holds_verified_text_alone(planner, serve, picture):
    wrong = answer("There is a nodule [E2]. It measures 9 mm [E2].")
    planner.say(NODULE, wrong, wrong)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = serve().say(ask(image(picture)), **options)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "There is a nodule [E2]."
    told = [delta.overread["event"] for delta in deltas if hasattr(delta, "overread")]
    assert told == [
        "evidence", "step_planned", "tool_started", "tool_finished", "step_planned", "revising",
        "step_planned",
    ]  # fmt: skip
    last, usage = chunks[-2], chunks[-1]
    assert last.choices[0].finish_reason == "stop"
    assert last.overread["removed"][0]["sentence"] == "It measures 9 mm [E2]."
    assert (usage.choices, usage.usage.total_tokens) == ([], 45)
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_without_usage_ends_with_done(planner, serve, picture):
    planner.say(NODULE, YES)
    body = {"model": "agent", "messages": ask(image(picture)), "stream": True}
    with httpx.stream("POST", f"{serve().url}/chat/completions", json=body, timeout=60) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in reply.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: "))["choices"] for line in lines[:-1])


def test_system_text_images_of_earlier_turns_and_what_is_ignored(
    planner, serve, picture, dark_picture
):
    planner.say(answer("Image 2 has 40 rows [E2]."))
    earlier = ask(image(picture), question="Is it a chest?")
    messages = [
        {"role": "system", "content": "Be brief."},
        *earlier,
        {"role": "assistant", "content": "Yes [E7]."},
        *ask(image(picture), image(dark_picture), question="How many rows has image 2?"),
    ]
    reply = serve().say(messages)
    assert reply.overread["ignored"] == ["messages[1]", "messages[2]"]
    (asked,) = planner.texts()[1:]
    assert asked.endswith("Question: Be brief.\nHow many rows has image 2?")
    assert "E7" not in asked and len(reply.overread["evidence"]) == 2


def test_nothing_remains_but_what_is_de_identified(
    planner, serve, make_assistant, picture, data_dir
):
    endpoint = serve()
    planner.say(NODULE, YES)
    endpoint.say(ask(image(picture), question="Is there a nodule in ZEBRA?"))
    planner.say(lambda _: None)
    with pytest.raises(openai.APIStatusError):
        endpoint.say(ask(image(picture), question="Is there a nodule in ZEBRA?"))
    endpoint.stop()
    endpoint.assistant.close()
    assert leftovers(data_dir, b"ZEBRA", b"there is a nodule") == []
    assert list((data_dir / "uploads").iterdir()) == []
    assert list((data_dir / "locks").iterdir()) == []
    assert list((data_dir / "archive" / "pixels").iterdir()), "images stay, de-identified"


def test_what_a_killed_endpoint_left_is_cleared(planner, make_assistant, picture, data_dir):
    assistant = make_assistant(api={"port": 4711})
    planner.say(NODULE, YES, NODULE, lambda _: None)
    assistant.ask(QUESTION, [picture], "mine")
    with pytest.raises(PlannerUnavailable):
        assistant.ask("ZEBRA?", [picture], f"{session_prefix(4711)}0")
    folder = data_dir / "uploads" / f"{session_prefix(4711)}x"
    other = data_dir / "uploads" / f"{session_prefix(47110)}x"
    for place in (folder, other):
        place.mkdir(parents=True)
        (place / "image-1.png").write_bytes(b"x")
    tidy(assistant)
    assert [path.name for path in (data_dir / "locks").iterdir()] == ["mine.lock"]
    assert list((data_dir / "uploads").iterdir()) == [other]
    assistant.close()
    assert leftovers(data_dir, b"ZEBRA") == []


PNG = "data:image/png;base64,"
REFUSED_IMAGES = {
    "https": ("https://example.org/a.png", "never opened"),
    "http": ("http://127.0.0.1:1/a.png", "never opened"),
    "file": ("file:///etc/passwd", "never opened"),
    "path": ("/etc/passwd", "never opened"),
    "webp": ("data:image/webp;base64,AAAA", "image/png"),
    "svg": ("data:image/svg+xml;base64,AAAA", "image/png"),
    "percent": ("data:image/png,abc", "base64"),
    "not base64": (f"{PNG}%%%", "not valid base64"),
    "empty": (PNG, "image-1.png is empty"),
    "text": (f"{PNG}{base64.b64encode(b'hello').decode()}", "image-1.png"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_images_that_are_refused(planner, serve, data_dir, stream):
    endpoint = serve()
    for url, words in REFUSED_IMAGES.values():
        with pytest.raises(openai.BadRequestError) as refused:
            endpoint.say(ask(image_part(url)), stream=stream)
        assert words in refused.value.body["message"]
        assert str(data_dir) not in refused.value.body["message"]
        assert refused.value.body["type"] == "invalid_request_error"
    assert planner.requests == []
    assert list((data_dir / "uploads").iterdir()) == []


def test_too_many_pixels_and_too_many_images(planner, serve, tmp_path, picture, dark_picture):
    PIL.Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    endpoint = serve(max_images=1)
    with pytest.raises(
        openai.BadRequestError, match=r"image-1\.png states more than 100,000,000 pix"
    ):
        endpoint.say(ask(image(tmp_path / "huge.png")))
    with pytest.raises(openai.BadRequestError, match="2 images were given; at most 1"):
        endpoint.say(ask(image(picture), image(dark_picture)))


def test_a_body_that_is_too_large(planner, serve, picture):
    endpoint = serve(api={"max_body_mb": 1})
    part = image_part(PNG + "A" * 30_000_000)
    with pytest.raises(openai.APIStatusError, match="more than 1 MB") as refused:
        endpoint.say(ask(part))
    assert refused.value.status_code == 413
    planner.say(NODULE, YES)
    assert endpoint.say(ask(image(picture))).choices[0].message.content.startswith("Yes")


BAD_REQUESTS = {
    "no JSON": (b"{", "no chat request"),
    "nothing": (b"{}", "'model'"),
    "no messages": ({"messages": []}, "'messages'"),
    "tool message": ({"messages": [{"role": "tool", "content": "x"}]}, "'messages.0.role'"),
    "audio": ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input_audio"),
    "no user": ({"messages": [{"role": "system", "content": "x"}]}, "role 'user'"),
    "empty": ({"messages": [{"role": "user", "content": " "}]}, "question is empty"),
    "long": ({"messages": [{"role": "user", "content": "x" * 5000}]}, "max_question_chars"),
    "tools": ({"tools": [{"type": "function"}]}, "'tools' is not supported"),
    "n": ({"n": 2}, "'n' is not supported"),
    "logprobs": ({"logprobs": True}, "'logprobs' is not supported"),
    "format": ({"response_format": {"type": "json_object"}}, "'response_format'"),
    "system image": (
        {"messages": [{"role": "system", "content": [image_part(PNG)]}, *ask()]},
        "only messages of the role 'user'",
    ),
}  # fmt: skip


def test_requests_that_are_refused(planner, serve):
    url = f"{serve().url}/chat/completions"
    for body, words in BAD_REQUESTS.values():
        if isinstance(body, dict):
            body = json.dumps({"model": "agent", "messages": ask()} | body).encode()
        reply = httpx.post(url, content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code == 400
        error = reply.json()["error"]
        assert words in error["message"] and set(error) == {"message", "type", "param", "code"}
        assert "Traceback" not in reply.text and "\n" not in error["message"]
    assert planner.requests == []


def test_parameters_that_ask_for_nothing_are_accepted(planner, serve):
    planner.say(answer("There is not enough evidence."))
    nothing = {"n": 1, "tools": [], "logprobs": False, "response_format": {"type": "text"}}
    body = {"model": "agent", "messages": ask(), "user": None, "max_tokens": 5} | nothing
    reply = httpx.post(f"{serve().url}/chat/completions", json=body, timeout=60)
    assert reply.json()["overread"]["ignored"] == ["max_tokens"]


def test_paths_models_and_content_types(planner, serve):
    endpoint = serve()
    with endpoint.client() as client:
        assert [model.id for model in client.models.list()] == ["agent"]
    with pytest.raises(openai.NotFoundError, match="the model is 'agent'"):
        endpoint.say(ask(), model="gpt-4o")
    reply = httpx.get(f"{endpoint.url}/files")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")
    assert httpx.get(f"{endpoint.url}/chat/completions").status_code == 405
    reply = httpx.post(f"{endpoint.url}/chat/completions", content=json.dumps({}))
    assert reply.status_code == 415


def test_the_key(planner, serve, picture):
    endpoint = serve(api={"api_key": "s3cret"})
    for key in ("wrong", "s3cre", "ünicode"):
        reply = httpx.get(
            f"{endpoint.url}/models", headers={"Authorization": f"Bearer {key}".encode()}
        )
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")
        assert "s3cret" not in reply.text
    with pytest.raises(openai.AuthenticationError), endpoint.client("wrong") as client:
        client.chat.completions.create(model="agent", messages=ask())
    planner.say(NODULE, YES)
    with endpoint.client("s3cret") as client:
        client.models.list()
        client.chat.completions.create(model="agent", messages=ask(image(picture)))
    assert httpx.get(endpoint.url.replace("/v1", "/health")).status_code == 200


def test_it_is_not_opened_to_the_network_without_a_key(make_assistant):
    with pytest.raises(ConfigError, match=r"set api\.api_key"):
        create_app(make_assistant(api={"host": "0.0.0.0"}))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_planner_that_is_down_costs_only_time(planner, serve, picture, stream):
    endpoint = serve()
    health = endpoint.url.replace("/v1", "/health")
    planner.status = 503
    with pytest.raises(openai.InternalServerError) as down:
        endpoint.say(ask(image(picture)), stream=stream)
    assert down.value.status_code == 503
    assert down.value.body["code"] == "planner_unavailable"
    assert int(down.value.response.headers["Retry-After"]) > 0
    planner.status = 200
    planner.say(NODULE, YES)
    reply = endpoint.say(ask(image(picture)), stream=stream)
    assert (reply[-1] if stream else reply).choices[0].finish_reason == "stop"
    assert httpx.get(health).json() == {"status": "ok"}
    planner.stop()
    assert httpx.get(health).status_code == 503


def test_a_planner_that_dies_in_the_middle_of_a_stream(planner, serve, picture):
    planner.say(NODULE, lambda _: None)
    with pytest.raises(openai.APIError, match="stopped in the middle") as died:
        serve().say(ask(image(picture)), stream=True)
    assert not isinstance(died.value, openai.APIStatusError), "the status was sent before"
    assert died.value.code == "planner_unavailable"


def test_a_question_that_the_planner_cannot_take_is_not_worth_a_retry(planner, serve, picture):
    endpoint = serve(max_steps=1)
    planner.say("no JSON")
    with pytest.raises(openai.UnprocessableEntityError, match="no usable answer"):
        endpoint.say(ask(image(picture)))
    planner.status = 400
    with pytest.raises(openai.UnprocessableEntityError, match="refused the request"):
        endpoint.say(ask(image(picture)))


def test_many_at_once_wait_for_their_turn(planner, serve, picture):
    inside, most, guard = 0, 0, threading.Lock()

    def slowly(_):
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        time.sleep(0.1)
        with guard:
            inside -= 1
        return json.dumps(answer("Image 1 has 48 rows [E1]."))

    planner.say(*[slowly] * 16)
    endpoint = serve(api={"max_running": 4})
    asked = ask(image(picture), question=ROWS)
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: endpoint.say(asked), range(16)))
    texts = {reply.choices[0].message.content for reply in replies}
    assert texts == {"Image 1 has 48 rows [E1]."}
    assert len({reply.id for reply in replies}) == 16
    assert 2 <= most <= 4


def test_a_full_queue_and_a_client_that_hangs_up(planner, serve, picture):
    entered, go_on = threading.Event(), threading.Event()

    def wait(_):
        entered.set()
        go_on.wait(30)
        return json.dumps(YES)

    planner.say(wait)
    endpoint = serve(api={"max_running": 1, "max_waiting": 0})
    url = f"{endpoint.url}/chat/completions"
    body = {"model": "agent", "messages": ask(image(picture))}

    def impatient() -> None:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json=body, timeout=httpx.Timeout(30, read=2))

    first = threading.Thread(target=impatient)
    first.start()
    assert entered.wait(30)
    with pytest.raises(openai.RateLimitError) as full:
        endpoint.say(ask())
    assert "Retry-After" in full.value.response.headers
    first.join()
    planner.say(answer("There is not enough evidence."))
    with endpoint.client(retries=8) as client:  # the slot is free soon after the client left
        client.chat.completions.create(model="agent", messages=ask())
    go_on.set()


def test_a_port_in_use_is_told(serve):
    api = ApiConfig(port=serve().assistant.config.api.port)
    with pytest.raises(ConfigError, match=f"port {api.port} .*--agent-port"):
        listen(api.host, api.port, "--agent-port")


def test_parse_says_what_is_wrong_with_a_model_before_anything_else():
    body = json.dumps({"model": "x", "messages": ask(), "n": 2}).encode()
    with pytest.raises(ApiError, match="no such model"):
        chat_request.parse(body, 4, 100)
    body = json.dumps({"model": "agent", "messages": ask()}).encode()
    with pytest.raises(InputError, match="at most 5 are allowed"):
        chat_request.parse(body, 4, 5)


TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText
from inspect_ai.scorer import includes

@task
def nodules():
    content = [ContentImage(image="picture.png"), ContentText(text="Is there a nodule?")]
    samples = [
        Sample(id=number, input=[ChatMessageUser(content=content)], target=target)
        for number, target in enumerate(["Yes", "Yes", "No"])
    ]
    return Task(dataset=samples, scorer=includes(ignore_case=False))
"""


@pytest.mark.slow
def test_inspect_evaluates_it_with_its_stock_provider(planner, serve, picture, tmp_path):
    pytest.importorskip("inspect_ai")
    planner.say(*[NODULE, YES] * 3)
    endpoint = serve(api={"api_key": "s3cret"})
    folder = tmp_path / "inspect"
    folder.mkdir()
    (folder / "nodules.py").write_text(TASK)
    picture.rename(folder / "picture.png")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INSPECT")}
    done = subprocess.run(
        [Path(sys.executable).with_name("inspect"), "eval", "nodules.py", "--model",
         "openai-api/overread/agent", "--max-connections", "1", "--log-format", "json",
         "--log-dir", "logs", "--display", "plain"],
        cwd=folder,
        env=clean | {"OVERREAD_BASE_URL": endpoint.url, "OVERREAD_API_KEY": "s3cret"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (folder / "logs").glob("*.json")
    told = json.loads(log.read_text())
    assert told["status"] == "success"
    texts = [one["output"]["choices"][0]["message"]["content"] for one in told["samples"]]
    assert texts == ["Yes, there is a nodule [E2]."] * 3
    metrics = told["results"]["scores"][0]["metrics"]
    assert metrics["accuracy"]["value"] == pytest.approx(2 / 3)
    (usage,) = told["stats"]["model_usage"].values()
    assert (usage["input_tokens"], usage["output_tokens"]) == (60, 30)
