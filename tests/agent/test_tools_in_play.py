"""Which tools a planner is offered: its profile's, or those that the configuration names."""

import json

import pytest

from overread.agent.assistant import Assistant
from overread.agent.config import Config
from overread.agent.profiles import load_profile, profile_names
from overread.tools.registry import build_tools, tool_names
from tests.agent.said import QUESTION, answer

TRAINED_ON = ["find_similar_cases", "generate_report", "measure", "segment"]


def offered(planner) -> list[str]:
    """Return the tools in the schema of the last request."""
    schema = planner.requests[-1]["response_format"]["json_schema"]["schema"]
    calls = next(v["properties"]["calls"] for v in schema["anyOf"] if "calls" in v["properties"])
    return [item["properties"]["tool"]["const"] for item in calls["items"]["anyOf"]]


def test_the_bundled_planner_is_offered_what_it_was_trained_on(planner, make_assistant, picture):
    planner.say(answer("There is not enough evidence."))
    make_assistant(build=build_tools).ask(QUESTION, [picture])
    assert offered(planner) == TRAINED_ON
    told = json.dumps(planner.requests[-1]["messages"])
    assert not any(name in told for name in ("quantify", "classify", "compare image"))


def test_the_configuration_overrides_the_profile(planner, make_assistant, picture):
    planner.say(answer("There is not enough evidence."))
    make_assistant(build=build_tools, tools=["measure", "segment"]).ask(QUESTION, [picture])
    assert offered(planner) == ["measure", "segment"]


@pytest.mark.parametrize("name", [name for name in profile_names() if name != "bundled"])
def test_other_planners_are_offered_all(name):
    assert load_profile(name).tools is None


def test_a_profile_without_a_list_is_offered_all(planner, data_dir, picture):
    planner.say(answer("There is not enough evidence."))
    config = Config(data_dir=data_dir, planner={"base_url": planner.url})
    profile = load_profile("bundled").model_copy(update={"tools": None})
    with Assistant(config, profile) as assistant:
        assistant.ask(QUESTION, [picture])
    assert offered(planner) == tool_names()
