"""Prompt searches over the real agent, against a server on this machine that follows its prompt."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from overread.agent.config import Config
from overread.agent.profiles import load_profile, profile_toml
from overread.agent.prompt_file import Demo
from overread.evals.kept import Kept
from overread.imaging.errors import ConfigError, InputError, PlannerUnavailable
from overread.training import prompt_search
from overread.training.prompt_optimisers import Search
from overread.training.prompt_program import PlannerProgram, Stage, state_of
from overread.training.prompt_score import Journal
from overread.training.prompt_search import check, search
from tests.json_http import JsonHandler

MAGIC = "Answer carefully."
SMALL = Search(
    optimiser="bootstrap", train=6, choose=6, held_out=6, candidates=2, rounds=2, demos=1, threads=2
)


class Obedient:
    """A planner that is right when its prompt has the magic words or a worked example.

    As a writer of prompts it proposes the magic words.
    """

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.lazy = set[str]()
        self.requests: list[dict[str, Any]] = []
        self.dies_after = 10**9
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, request: dict[str, Any]) -> str:
        messages = request["messages"]
        if "response_format" not in request:
            return proposal(messages[-1]["content"])
        last = messages[-1]["content"]
        text = last if isinstance(last, str) else last[-1]["text"]
        key = next((key for key in self.answers if key in text), "")
        knows = MAGIC in messages[0]["content"] or len(messages) > 2 or key not in self.lazy
        answer = self.answers.get(key, "") if knows else "something else"
        return json.dumps({"why": "seen", "answer": f"{answer} [E1]."})

    def _handler(outer) -> type[JsonHandler]:
        class Handler(JsonHandler):
            def do_GET(self) -> None:
                self.send_json(200, {"data": [{"id": "overread-planner", "object": "model"}]})

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(request)
                if len(outer.requests) > outer.dies_after:
                    self.send_json(401, {"error": {"message": "gone"}})
                    return
                text = outer.reply(request)
                whole = {"id": "1", "created": 1, "model": request["model"]}
                if not request.get("stream"):
                    message = {"role": "assistant", "content": text}
                    choice = {"index": 0, "message": message, "finish_reason": "stop"}
                    self.send_json(200, whole | {"object": "chat.completion", "choices": [choice]})
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for delta, finish in (({"content": text}, None), ({}, "stop")):
                    choice = {"index": 0, "delta": delta, "finish_reason": finish}
                    event = whole | {"object": "chat.completion.chunk", "choices": [choice]}
                    self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                self.wfile.write(b"data: [DONE]\n\n")

        return Handler


def proposal(asked: str) -> str:
    """Fill in the fields that DSPy asks a writer of prompts for."""
    wish = asked.rpartition("Respond with")[2]
    if "a JSON object" in wish:
        return json.dumps(dict.fromkeys(re.findall(r"`(\w+)`", wish), MAGIC))
    names = re.findall(r"\[\[ ## (\w+) ## \]\]", wish)
    values = {"module_advice": json.dumps({"plan": MAGIC, "write": "Look well."})}
    fields = [f"[[ ## {name} ## ]]\n{values.get(name, MAGIC)}" for name in names]
    return "\n\n".join(fields) or f"```\n{MAGIC}\n```"


@pytest.fixture
def planner() -> Iterator[Obedient]:
    server = Obedient()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[list, list, list]:
    """Items of phantoms, drawn once."""
    return prompt_search._items(SMALL, tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def config(planner: Obedient, data_dir: Path, drawn, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The agent without tools and verifier: what the planner says is the answer."""
    monkeypatch.setattr(prompt_search, "_items", lambda wanted, out: drawn)
    for item in (*drawn[0], *drawn[1], *drawn[2]):
        planner.answers[item.question] = item.answers[0]
    # every other question is only answered under a better prompt
    planner.lazy = set(sorted(planner.answers)[::2])
    return Config(
        data_dir=data_dir, planner={"base_url": planner.url}, agent={"tools": [], "verify": False}
    )


def told(out: Path) -> dict[str, Any]:
    return json.loads((out / "prompts.json").read_text())


@pytest.mark.parametrize("optimiser", ["bootstrap", "gepa", "simba", "miprov2"])
@pytest.mark.slow
def test_every_optimiser_finds_better_prompts(
    optimiser: str, planner: Obedient, config: Config, tmp_path: Path
) -> None:
    if optimiser == "miprov2":
        pytest.importorskip("optuna", reason="MIPROv2 needs optuna")
    wanted = replace(SMALL, optimiser=optimiser, rounds=3)  # type: ignore[arg-type]
    result = search(wanted, config, tmp_path / "out")
    assert result.items == 6
    assert result.after > result.before
    assert result.low <= result.difference <= result.high
    found = told(tmp_path / "out")
    assert MAGIC in found["system"] or found["demos"]
    assert found["made"]["held_out"]["after"] == result.after
    profile = load_profile(str(tmp_path / "out" / "profile.toml"))
    assert profile.system == found["system"]
    assert not list(tmp_path.rglob("*.pkl")) and not list(tmp_path.rglob("cache.db"))


def test_a_search_taken_up_again_asks_nothing_twice(
    planner: Obedient, config: Config, tmp_path: Path
) -> None:
    first = search(SMALL, config, tmp_path / "out")
    asked = len(planner.requests)
    assert asked > 0
    assert search(SMALL, config, tmp_path / "out") == first
    assert len(planner.requests) == asked
    assert first.after > first.before  # a worked example is enough for this planner


def test_a_server_that_goes_leaves_the_best_so_far(
    planner: Obedient, config: Config, tmp_path: Path
) -> None:
    planner.dies_after = 9  # one set of prompts is tried by then, and part of another
    with pytest.raises(PlannerUnavailable, match="refused the key"):
        search(SMALL, config, tmp_path / "out")
    made = told(tmp_path / "out")["made"]
    assert made["so_far"] is True and 0 <= made["score"] <= 1
    assert not (tmp_path / "out" / "result.json").exists()


def test_the_planner_is_asked_as_the_agent_asks(
    planner: Obedient, config: Config, tmp_path: Path, drawn
) -> None:
    import dspy

    from overread.training.prompt_lm import language_model, quiet

    quiet()
    item = drawn[0][0]
    demo = Demo(user="Question: Is it bright?", reply='{"why": "seen", "answer": "Yes [E1]."}')
    profile = load_profile("bundled").model_copy(update={"demos": (demo,)})
    stage = Stage(config, profile, {item.id: item}, Kept(tmp_path / "replies"))
    lm = language_model(config.planner, profile.request_model, stage.replies)
    with dspy.context(lm=lm, trace=[]):
        prediction = PlannerProgram(stage)(question=item.question, key=item.id)
        ((_, inputs, output),) = dspy.settings.trace
    assert prediction.answer == f"{item.answers[0]} [E1]."
    (request,) = planner.requests
    assert [message["role"] for message in request["messages"]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    assert request["messages"][0]["content"] == profile.system
    assert request["messages"][3]["content"][0]["type"] == "image_url"
    assert request["temperature"] == 0.0
    assert request["response_format"]["type"] == "json_schema"
    # DSPy sees the step's words alone: no pictures, no earlier example
    assert inputs["session"].startswith("[E1] image 1") and item.question in inputs["session"]
    assert "base64" not in inputs["session"] and "bright" not in inputs["session"]
    assert json.loads(output.step)["why"] == "seen"


def test_a_writer_that_writes_nonsense_is_named(
    planner: Obedient, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dspy

    def nonsense(*_: object) -> None:
        dspy.Predict("question -> thoughts: list[int]")(question="What to say?")

    monkeypatch.setattr(prompt_search, "optimise", nonsense)
    with pytest.raises(ConfigError, match=r"gave nothing that bootstrap can use.*--writer"):
        search(SMALL, config, tmp_path / "out")


def test_a_list_of_tools_that_was_dropped_comes_back(config: Config, tmp_path: Path) -> None:
    profile = load_profile("medgemma")
    program = PlannerProgram(Stage(config, profile, {}, Kept(tmp_path / "replies")))
    before = program.prompts()
    assert before.system.count("{tools}") == 1
    program.plan.signature = program.plan.signature.with_instructions("Be brief.")
    after = program.prompts()
    assert after.system == "Be brief.\n\nTools:\n{tools}"
    assert state_of(after) != state_of(before)
    assert program.deepcopy().stage is program.stage


def test_prompts_are_compared_once_enough_items_were_scored() -> None:
    best: list[tuple[str, float]] = []
    journal = Journal(2, lambda state, mean: best.append((state, mean)))
    journal.add("a", "1", 0.0)
    journal.add("b", "1", 1.0)
    assert best == []
    journal.add("a", "2", 1.0)
    assert best == [("a", 0.5)]
    journal.add("b", "2", 0.5)
    assert best[-1] == ("b", 0.75)
    journal.add("b", "2", -1.0)  # scored anew
    assert best[-1] == ("a", 0.5)


def test_wrong_settings_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="choose from bootstrap, miprov2, gepa, simba"):
        check(Search(optimiser="magic"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="held-out must be at least 1"):
        check(Search(held_out=0))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="MIPROv2 needs optuna"):
        check(Search(optimiser="miprov2"))


def test_profile_toml_names_the_prompts_beside_it(tmp_path: Path) -> None:
    prompt_search._write_profile(tmp_path, load_profile("bundled"))
    text = (tmp_path / "profile.toml").read_text()
    assert 'prompts = "prompts.json"' in text
    assert text.startswith(profile_toml(load_profile("bundled"))[:20])
