from pathlib import Path

import pytest

from overread.agent.profiles import load_profile, profile_names
from overread.imaging.errors import ConfigError

GOOD = """
name = "mine"
description = "d"
status = "s"
model = "/models/mine"
served_name = "mine"
device = "cpu"
context = 1024
max_images = 1
image_size = 224
system = "Answer."
"""


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_complete(name):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.status
    if profile.device == "gpu":
        assert profile.status == "not run on a GPU yet"
    if profile.tool_calls == "schema" and name != "bundled":
        assert "{tools}" in profile.system
    assert "--trust-remote-code" not in profile.flags


def test_bundled_runs_on_a_cpu():
    profile = load_profile("bundled")
    assert (profile.device, profile.tool_calls, profile.model) == ("cpu", "schema", "bundled")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nonsense", "is not TOML"),
        ("colour = 'red'", "colour: Extra inputs are not permitted"),
        ("dtype = 'int3'", "dtype: Input should be"),
        ("tool_calls = 'native'", "needs a tool_parser"),
        ("adapter = 'a'", "is not one of lora"),
        ("flags = ['--trust-remote-code']", "is not allowed in a profile"),
        ("flags = ['--host=0.0.0.0']", "is not allowed in a profile"),
        ("max_output_tokens = 4096", "must be below context"),
        ("chat_template = 'absent.jinja'", "there is no chat template"),
    ],
)
def test_a_wrong_profile_is_refused(tmp_path: Path, change, message):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + change)
    with pytest.raises(ConfigError, match=message):
        load_profile(str(path))


def test_a_chat_template_is_found_beside_its_profile(tmp_path: Path):
    (tmp_path / "t.jinja").write_text("x")
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + "chat_template = 't.jinja'")
    assert load_profile(str(path)).chat_template == tmp_path / "t.jinja"


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(ConfigError, match="there are bundled, lingshu, llava, medgemma"):
        load_profile("gpt-9")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile("/nowhere/p.toml")
