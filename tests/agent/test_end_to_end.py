"""The whole path with nothing given: phantom file, vLLM, bundled planner, real tools, verifier."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from overread.agent import events, serving
from overread.agent.assistant import Assistant
from overread.agent.config import Config
from overread.agent.planner import Planner
from overread.agent.profiles import load_profile
from overread.agent.verifier import verify
from overread.agent.vllm_command import model_location
from overread.imaging.errors import ConfigError, PlannerUnavailable
from overread.imaging.phantoms import generate, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
QUESTION = "Is there a pleural effusion?"
PROFILE = os.environ.get("OVERREAD_TEST_PROFILE", "bundled")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A data folder with a planner's server that really runs."""
    pytest.importorskip("vllm", reason="the planner is served by vLLM")
    data = tmp_path_factory.mktemp("data")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"profile": PROFILE, "port": port, "start_timeout_s": 1200, "timeout_s": 600}
    made = Config(data_dir=data, planner=settings)
    try:
        model_location(load_profile(PROFILE), data)
    except ConfigError as error:
        pytest.skip(f"no bundled planner here: {error}")
    assert serving.ensure_server(made) is True
    yield made
    serving.stop(made)


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(generate("chest-xray", patient=7), tmp_path_factory.mktemp("phantom"))


def test_an_answer_stands_on_its_evidence(config: Config, radiograph: Path) -> None:
    with Assistant.from_config(config) as assistant:
        answer = assistant.ask(QUESTION, [radiograph])
    assert answer.text and answer.disclaimer
    assert answer.evidence[0].values["modality"] in ("CR", "DX")
    assert answer.abstained or verify(answer.text, answer.evidence, QUESTION) == []
    assert answer.usage.completion_tokens > 0


def test_a_running_server_is_reused(config: Config) -> None:
    assert serving.ensure_server(config) is False


def test_pictures_are_never_fetched(config: Config) -> None:
    import openai

    client = openai.OpenAI(base_url=config.planner.url, api_key="none", max_retries=0)
    part = {"type": "image_url", "image_url": {"url": f"{config.planner.url}/models"}}
    with pytest.raises(openai.APIStatusError, match="domain"):
        client.chat.completions.create(
            model=load_profile(PROFILE).served_name,
            messages=[{"role": "user", "content": [part]}],  # type: ignore[list-item,misc]
        )


async def test_a_reply_that_repeats_itself_is_ended(config: Config) -> None:
    profile = load_profile(PROFILE)
    planner = Planner(config.planner, profile)
    endless = {"type": "array", "items": {"const": "yes"}, "minItems": 1000}
    reply, spent = await planner.step([{"role": "user", "content": "Go on."}], endless)
    await planner.close()
    assert reply.startswith('["yes"')
    assert 8 <= spent.completion_tokens < profile.max_output_tokens / 2


def test_a_server_stopped_in_the_middle_leaves_a_usable_session(
    config: Config, radiograph: Path
) -> None:
    with Assistant.from_config(config) as assistant:
        with pytest.raises(PlannerUnavailable, match=r"overread serve|stopped in the middle"):
            for event in assistant.stream(QUESTION, [radiograph], "stopped"):
                if isinstance(event, events.EvidenceAdded | events.StepPlanned):
                    serving.stop(config)
        serving.ensure_server(config)
        told = list(assistant.stream(QUESTION, [radiograph], "stopped"))
    assert isinstance(told[0], events.SessionStarted) and told[0].resumed
    assert isinstance(told[-1], events.AnswerReady)
    ids = [entry.id for entry in told[-1].answer.evidence]
    assert ids == [f"E{number}" for number in range(1, len(ids) + 1)]
