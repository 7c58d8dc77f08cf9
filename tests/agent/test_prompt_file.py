import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.agent.assistant import Assistant
from overread.agent.config import Config
from overread.agent.profiles import Profile, load_profile, profile_toml
from overread.agent.prompt_file import Demo
from overread.imaging.errors import ConfigError
from tests.agent.conftest import answer, simple_tools

PROMPTS = {
    "system": "Look twice.",
    "writing": "Describe what is there.",
    "demos": [{"user": "Question: Is it bright?", "reply": '{"why": "seen", "answer": "Yes."}'}],
}


def named(folder: Path, prompts: object) -> Path:
    """Write a profile that names a file of prompts beside it."""
    (folder / "better.json").write_text(json.dumps(prompts))
    path = folder / "own.toml"
    path.write_text(profile_toml(load_profile("bundled")) + 'prompts = "better.json"\n')
    return path


def test_the_agent_says_what_the_file_says(planner, data_dir: Path, tmp_path: Path) -> None:
    config = Config(data_dir=data_dir, planner={"base_url": planner.url})
    planner.say(answer("There is not enough evidence."))
    with Assistant(config, load_profile(str(named(tmp_path, PROMPTS))), simple_tools) as assistant:
        assistant.ask("Is it dark?")
    (demo,) = PROMPTS["demos"]
    assert planner.texts() == ["Look twice.", demo["user"], demo["reply"], "Question: Is it dark?"]
    assert [message["role"] for message in planner.requests[-1]["messages"]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip


def test_a_tool_writes_under_the_prompt_of_the_file(planner, data_dir: Path, tmp_path: Path):
    config = Config(data_dir=data_dir, planner={"base_url": planner.url})
    planner.say("Clear lungs.")
    with Assistant(config, load_profile(str(named(tmp_path, PROMPTS))), simple_tools) as assistant:
        said = assistant._wait(assistant._around._write(None, "Say something."))
    assert said == "Clear lungs."
    assert planner.texts() == ["Describe what is there.", "Question: Say something."]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system": ""}, "system: String should have"),
        ({"demos": [{"user": "x"}]}, "demos.0.reply: Field required"),
        ({"colour": "red"}, "colour: Extra inputs"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, change, message) -> None:
    path = named(tmp_path, PROMPTS | change)
    with pytest.raises(ConfigError, match=message):
        load_profile(str(path))
    (tmp_path / "better.json").unlink()
    with pytest.raises(ConfigError, match=r"better\.json cannot be read"):
        load_profile(str(path))


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(words, words, st.dictionaries(words, words, max_size=2), st.lists(words, max_size=2))
def test_a_profile_written_is_the_profile_read(
    tmp_path_factory: pytest.TempPathFactory, system, reply, lora, flags
) -> None:
    demo = Demo(user="Question?", reply=reply)
    changes = {
        "system": system,
        "lora": lora,
        "flags": tuple(f"--x={flag}" for flag in flags),
        "demos": (demo,),
    }
    made = load_profile("bundled").model_copy(update=changes)
    path = tmp_path_factory.mktemp("p") / "own.toml"
    path.write_text(profile_toml(made), "utf-8", newline="")
    assert load_profile(str(path)) == Profile.model_validate(made.model_dump())
