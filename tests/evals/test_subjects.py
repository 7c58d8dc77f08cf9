"""Who is asked: names on the command line, baselines, the agent, a model in this process."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import uvicorn
from scripted_model import ScriptedModel

from overread.agent import Assistant
from overread.agent.chat_api import create_app
from overread.agent.config import Config
from overread.agent.resources import Resources
from overread.agent.sessions import remembered
from overread.evals.items import Item, Kind
from overread.evals.marking import mark
from overread.evals.metrics.grounding import boxes_of
from overread.evals.subjects.agent import AgentSubject, ablated
from overread.evals.subjects.base import Reply, Subject
from overread.evals.subjects.factory import Items, ablations, code_hash, make_subject
from overread.evals.subjects.majority import MajoritySubject
from overread.evals.subjects.neighbours import NeighbourSubject
from overread.evals.subjects.pictures import load_images
from overread.evals.subjects.pools import Pool
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.phantoms import generate, write
from overread.imaging.render import for_planner
from overread.index.embedder import Vectors, load_embedder
from overread.index.ingest import build_index
from overread.index.store import CaseIndex
from overread.tools.registry import tool_names

MakeItems = Callable[[int], list[Item]]
NONE = Items((), lambda: None)


def ask(subject: Subject, item: Item, prompt: str = "Which?") -> Reply:
    async def whole() -> Reply:
        try:
            return await subject.answer(item, prompt, 0)
        finally:
            await subject.close()

    return asyncio.run(whole())


def question(
    number: int,
    answer: str,
    text: str = "Which side?",
    kind: Kind = "closed",
    options: tuple[str, ...] = (),
    **slices: str,
) -> Item:
    return Item(
        id=f"q{number}", question=text, images=(), answers=(answer,), kind=kind,
        options=options, cluster=f"p{number}", slices=slices,
    )  # fmt: skip


class MeanColour:
    """An embedder that sees nothing but the mean colour: red, green and blue are orthogonal."""

    name, dim = "mean colour", 3

    def embed_images(self, images: list[PIL.Image.Image]) -> Vectors:
        means = np.array([np.asarray(image, np.float32).mean((0, 1)) for image in images])
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)

    def embed_texts(self, texts: list[str]) -> Vectors:
        raise NotImplementedError


def coloured(tmp_path: Path, number: int, colour: tuple[int, int, int], answer: str) -> Item:
    path = tmp_path / f"{number}.png"
    PIL.Image.new("RGB", (8, 8), colour).save(path)
    return replace(question(number, answer), images=(path,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("oracle", "there is no subject 'oracle'"),
        ("endpoint:http://host/v1", "there is no subject"),
        ("endpoint:host#m", "must be endpoint:URL#MODEL"),
        ("endpoint:http://host/v1#", "must be endpoint:URL#MODEL"),
        ("agent/no-brain", "'brain' cannot be ablated; choose from tools, retrieval, verify"),
        ("agent/tools", "cannot be ablated"),
        ("local:", "there is no subject"),
        ("knn:5", "there is no subject"),
        ("text-only:oracle", "there is no subject 'oracle'"),
        ("", "there is no subject ''"),
    ],
)
def test_a_name_that_is_no_subject_is_refused(text: str, message: str, data_dir: Path) -> None:
    with pytest.raises(InputError, match=message):
        make_subject(text, Config(data_dir=data_dir), NONE, start=lambda config: None)


def test_a_folder_without_a_model_is_refused(tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(ConfigError, match="it has no config"):
        make_subject(f"local:{tmp_path}", Config(data_dir=data_dir), NONE)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("agent", "agent"),
        ("agent/no-verify", "agent without verify"),
        ("bare", "bare"),
        ("text-only", "text-only"),
        ("text-only:agent", "text-only agent"),
        ("serve:bundled", "serve:bundled"),
        ("endpoint:http://host:1/v1#org/model", "endpoint:org/model"),
        ("agent-endpoint:http://host:1/v1", "agent-endpoint"),
        ("majority", "majority"),
    ],
)
def test_subjects_have_names_and_an_identity_that_is_json(
    text: str, name: str, data_dir: Path
) -> None:
    started: list[Config] = []
    config = Config(data_dir=data_dir, planner={"api_key": "secret-key"})
    subject = make_subject(text, config, NONE, start=started.append)
    assert subject.name == name
    assert "secret-key" not in json.dumps(dict(subject.identity))
    own = text.split(":")[0] in ("endpoint", "agent-endpoint", "majority")
    assert len(started) == (0 if own else 1)


def test_identities_tell_apart_what_answers_differently(data_dir: Path) -> None:
    config = Config(data_dir=data_dir)
    texts = ["agent", "agent/no-tools", "agent/no-retrieval", "agent/no-verify", "bare", "text-only",
             "endpoint:http://a/v1#m", "endpoint:http://b/v1#m", "endpoint:http://a/v1#n"]  # fmt: skip
    found = [
        json.dumps(dict(make_subject(text, config, NONE, start=lambda c: None).identity))
        for text in texts
    ]
    assert len(set(found)) == len(texts)
    assert all(code_hash() in identity for identity in found)


def test_text_only_sends_no_picture_and_the_same_words(
    model: ScriptedModel, make_items: MakeItems, data_dir: Path
) -> None:
    config = Config(data_dir=data_dir)
    (item,) = make_items(1)
    for text in ("endpoint", "text-only:endpoint"):
        subject = make_subject(f"{text}:{model.url}#scripted", config, NONE)
        ask(subject, item, "Is it bright?")
    seen, blind = (request["messages"][-1]["content"] for request in model.asked)
    assert [part["type"] for part in seen] == ["image_url", "text"]
    assert blind == "Question: Is it bright?" or [part["type"] for part in blind] == ["text"]
    assert model.questions == ["Question: Is it bright?"] * 2


def test_more_images_than_a_model_takes_are_refused(
    model: ScriptedModel, make_items: MakeItems, data_dir: Path
) -> None:
    config = Config(data_dir=data_dir, planner={"base_url": model.url})
    subject = make_subject("bare", config, NONE, start=lambda c: None)
    many = replace(make_items(6)[0], images=tuple(item.images[0] for item in make_items(6)))
    with pytest.raises(InputError, match="the item has 6 images; bare takes 5"):
        ask(subject, many)
    assert model.asked == []


def test_a_server_without_token_probabilities_is_asked_without(
    make_items: MakeItems, data_dir: Path
) -> None:
    model = ScriptedModel()
    model.refuses_logprobs = True
    subject = make_subject(f"endpoint:{model.url}#scripted", Config(data_dir=data_dir), NONE)
    reply = ask(subject, make_items(1)[0])
    model.stop()
    assert reply.text in ("Yes.", "No.")
    assert [request.get("logprobs") for request in model.asked] == [True, None]


def test_dicom_is_rendered_like_for_the_planner(
    model: ScriptedModel, tmp_path: Path, data_dir: Path
) -> None:
    import base64
    import io

    path = write(generate("chest-xray", 61881), tmp_path)
    item = replace(question(1, "yes"), images=(path,))
    ask(make_subject(f"endpoint:{model.url}#scripted", Config(data_dir=data_dir), NONE), item)
    url = model.asked[0]["messages"][-1]["content"][0]["image_url"]["url"]
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
    assert picture.size == (256, 256) and np.asarray(picture).std() > 20


@pytest.mark.parametrize(
    ("known", "item", "said"),
    [
        (["left"] * 3 + ["right"] * 2, question(99, "right"), "left"),
        (["right", "left"], question(99, "right"), "left"),  # a tie: the first in the alphabet
        (["left", "right"], question(1, "right"), "left"),  # q1 itself does not vote
        (["right", "left"], replace(question(98, "?"), cluster="p1"), "right"),  # nor its patient
    ],
)
def test_the_majority_is_counted_without_the_item_itself(
    known: Sequence[str], item: Item, said: str
) -> None:
    pool = Pool([question(place, answer) for place, answer in enumerate(known)], "train")
    assert ask(MajoritySubject(pool), item).text == said


def test_the_majority_is_of_the_same_question_before_the_same_type_before_the_same_kind() -> None:
    pool = Pool(
        [
            *(question(n, "12", "How long is it?", "number", content_type="size")
              for n in range(5)),
            *(question(n, "3", "How many are there?", "number", content_type="count")
              for n in range(5, 12)),
            *(question(n, "40", "What is its area?", "number", content_type="size")
              for n in range(12, 19)),
        ],
        "train",
    )  # fmt: skip
    majority = MajoritySubject(pool)
    for text, kind, said in [
        ("how long  is it?", "size", "12"),
        ("How wide is it?", "size", "40"),
        ("What is the ratio?", "ratio", "3"),
    ]:
        assert ask(majority, question(99, "", text, "number", content_type=kind)).text == said


def test_a_choice_is_answered_by_the_letter_that_the_option_has_in_this_item() -> None:
    train = question(0, "A", kind="choice", options=("Lung", "Liver"))
    item = question(1, "A", kind="choice", options=("Heart", "lung"))
    strange = question(2, "A", kind="choice", options=("Heart", "Brain"))
    majority = MajoritySubject(Pool([train], "train"))
    assert ask(majority, item).text == "B"
    assert ask(majority, strange) == Reply("A")


def test_options_that_nobody_was_asked_about_are_guessed_with_no_confidence() -> None:
    majority = MajoritySubject(Pool([question(0, "left", kind="open")], "train"))
    item = question(1, "CT", options=("MRI", "CT"))
    assert ask(majority, item) == Reply("MRI", confidence=None)


def test_neighbours_of_which_none_is_alike_still_answer(tmp_path: Path) -> None:
    pool = Pool([coloured(tmp_path, 0, (0, 255, 0), "left")], "leave-one-out")
    reply = ask(NeighbourSubject(pool, MeanColour()), coloured(tmp_path, 1, (255, 0, 0), "?"))
    assert (reply.text, reply.confidence) == ("left", None)


def test_a_kind_without_known_answers_fails_with_a_reason() -> None:
    majority = MajoritySubject(Pool([question(0, "left")], "train"))
    with pytest.raises(InputError, match="knows no answer to a question of kind 'number'"):
        ask(majority, question(1, "5", kind="number"))


def test_the_nearest_images_vote_and_never_the_item_or_its_patient(tmp_path: Path) -> None:
    items = [
        coloured(tmp_path, 0, (250, 5, 5), "left"),
        coloured(tmp_path, 1, (240, 0, 10), "left"),
        coloured(tmp_path, 2, (5, 250, 5), "right"),
        coloured(tmp_path, 3, (0, 240, 0), "right"),
        coloured(tmp_path, 4, (0, 0, 250), "midline"),
    ]
    knn = NeighbourSubject(Pool(items, "leave-one-out"), MeanColour(), k=2)
    red = coloured(tmp_path, 9, (255, 0, 0), "?")
    assert ask(knn, red).text == "left"
    assert ask(knn, red).detail["neighbours"] == ["q0", "q1"]
    assert ask(knn, items[2]).detail["neighbours"][0] == "q3"
    sibling = replace(items[2], id="other", cluster="p3")
    assert "q3" not in ask(knn, sibling).detail["neighbours"]
    with pytest.raises(InputError, match="needs an image"):
        ask(knn, question(10, "left"))


def a_case(folder: Path, number: int, colour: tuple[int, int, int], patient: str = "") -> Item:
    """A query of retrieval about a coloured picture; its study is s<number>."""
    item = replace(coloured(folder, number, colour, "s1"), kind="retrieval")
    return replace(item, cluster=patient or f"p{number}", extra={"study": f"s{number}"})


def test_the_nearest_cases_are_ranked_and_never_the_query_s_own_study_or_patient(
    tmp_path: Path,
) -> None:
    query = a_case(tmp_path, 0, (250, 5, 5))
    items = [
        query,
        a_case(tmp_path, 1, (5, 250, 5)),
        a_case(tmp_path, 2, (230, 60, 5)),
        a_case(tmp_path, 3, (250, 5, 5), patient="p0"),
        replace(a_case(tmp_path, 4, (250, 5, 5)), extra={"study": "s0"}),
        replace(a_case(tmp_path, 5, (240, 0, 0)), extra={"study": "s2"}),
        question(6, "s1"),
    ]
    reply = ask(NeighbourSubject(Pool(items, "leave-one-out"), MeanColour()), query)
    assert reply.ranking == ("s2", "s1")
    with pytest.raises(InputError, match="knows no case but the item's own"):
        ask(NeighbourSubject(Pool([query, items[3]], "leave-one-out"), MeanColour()), query)


def test_ablations_of_the_agent() -> None:
    assert ablations("agent", ["tools", "verify", "tools"]) == [
        "agent", "agent/no-tools", "agent/no-verify",
    ]  # fmt: skip
    with pytest.raises(InputError, match="only the subject 'agent'"):
        ablations("bare", ["tools"])
    with pytest.raises(InputError, match="'brain' cannot be ablated"):
        ablations("agent", ["brain"])


@pytest.mark.parametrize(
    ("without", "tools", "verify"),
    [
        ("", None, True),
        ("tools", [], True),
        ("retrieval", ["generate_report", "measure", "segment"], True),
        ("verify", None, False),
    ],
)
def test_an_ablation_switches_one_part_off_and_retrieval_never_cheats(
    without: str, tools: list[str] | None, verify: bool, data_dir: Path
) -> None:
    config = Config(data_dir=data_dir, index={"exclude_same_patient": False})
    found = ablated(config, without)
    assert (found.agent.tools, found.agent.verify) == (tools, verify)
    assert found.index.exclude_same_patient


def steps(*replies: dict[str, Any]) -> Callable[[str], str]:
    """Return what a scripted planner says: these steps, one after the other."""
    left = iter(replies)
    return lambda question: json.dumps(next(left))


def test_the_agent_is_asked_with_its_tools_and_its_evidence_is_kept(
    model: ScriptedModel, data_dir: Path, tmp_path: Path
) -> None:
    path = write(generate("chest-xray", 61881), tmp_path)
    item = replace(question(1, "yes", "Is the heart seen?"), images=(path,))
    call = {"tool": "segment", "arguments": {"image": 1, "target": "heart"}}
    model.say = steps(
        {"why": "look", "calls": [{"tool": "guess", "arguments": {}}]},
        {"why": "look", "calls": [call]},
        {"why": "found", "answer": "Yes, the heart is seen [E2]."},
        {"why": "found", "answer": "Yes, the heart is seen [E2]."},
    )
    config = Config(data_dir=data_dir, planner={"base_url": model.url})
    reply = ask(AgentSubject(config, {}), item, item.question)
    assert reply.text == "Yes, the heart is seen [E2]." and not reply.abstained
    assert [entry["tool"] for entry in reply.evidence] == ["intake", "segment"]
    assert reply.evidence[1]["values"]["found"]
    assert reply.files["mask"].suffix == ".png" and reply.files["mask"].is_file()
    assert reply.detail == {"steps": 3, "refused_steps": 1, "tool_calls": 1}
    assert remembered(data_dir, "s-") == []
    scores = mark(item, reply).values
    assert (scores["accuracy"], scores["hallucination"], scores["citation_recall"]) == (1, 0, 1)
    assert scores["valid_steps"] == pytest.approx(2 / 3)


def test_the_agent_points_with_the_masks_that_it_cites(
    model: ScriptedModel, data_dir: Path, tmp_path: Path
) -> None:
    phantom = generate("chest-xray", 61881)
    truth = boxes_of(phantom.masks["heart"])
    extra = {"boxes": truth, "size": phantom.masks["heart"].shape[::-1]}
    item = Item("b", "Where is the heart?", (write(phantom, tmp_path),), (str(truth),), "boxes",
                extra=extra)  # fmt: skip
    config = Config(data_dir=data_dir, planner={"base_url": model.url})
    call = {"tool": "segment", "arguments": {"image": 1, "target": "heart"}}
    for answer, least in (
        ("The heart is seen [E2].", 0.5),
        ("There is not enough evidence.", None),
    ):
        final = {"why": "found", "answer": answer}
        model.say = steps({"why": "look", "calls": [call]}, final, final)
        reply = ask(AgentSubject(config, {}), item, item.question)
        values = mark(item, reply).values
        if least is None:
            assert reply.boxes is None
            assert (values["mean_iou"], values["unparsed"]) == (0, 1)
        else:
            assert values["mean_iou"] > least and values["unparsed"] == 0


def test_the_agent_ranks_the_cases_that_it_cites_under_the_benchmark_s_ids(
    model: ScriptedModel, data_dir: Path, tmp_path: Path
) -> None:
    """The index holds another image of the query's own study, and another study of its patient."""
    config = Config(data_dir=data_dir, planner={"base_url": model.url})
    pictures = []
    for number, visit in ((0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (4, 0)):
        path = write(generate("chest-xray", number, visit=visit), tmp_path / f"{number} {visit}")
        (image,) = load_images(replace(question(0, ""), images=(path,)))
        pictures.append(tmp_path / f"{len(pictures)}.png")
        for_planner(image, 256).save(pictures[-1])
    rows = [
        {"path": str(picture), "study_id": f"study {n}", "patient_id": f"patient {max(n, 1)}"}
        for n, picture in enumerate(pictures[1:])
    ]
    manifest = tmp_path / "cases.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    resources = Resources(config)
    embedder = load_embedder(config.index.embedder)
    index = CaseIndex.open(resources.index_place, embedder, create=True)
    build_index(manifest, index, resources.archive, resources.pseudonymiser)
    item = Item("r", "Find similar cases.", (pictures[0],), ("study 3", "study 4"), "retrieval",
                cluster="patient 1", extra={"study": "study 0"})  # fmt: skip
    call = {"tool": "find_similar_cases", "arguments": {"image": 1}}
    final = {"why": "found", "answer": "Similar cases were found [E2]."}
    model.say = steps({"why": "look", "calls": [call]}, final, final)
    reply = ask(AgentSubject(config, {}), item, item.question)
    shown = {entry["tool"]: entry for entry in reply.evidence}["find_similar_cases"]["values"]
    pseudonym = resources.pseudonymiser.study
    own = {pseudonym("study 0"), pseudonym("study 1")}
    assert own <= {str(value).split(" ")[0] for value in shown.values()}, "the tool cannot know"
    # Study 2 is not among the accepted answers, so it keeps its name in the index.
    assert set(reply.ranking or ()) == {"study 3", "study 4", pseudonym("study 2")}
    values = mark(item, reply).values
    assert values["recall_at_5"] == 1 and values["map"] > 0.5


def test_the_agents_chat_endpoint_gives_the_same_reply_as_its_python_api(
    model: ScriptedModel, data_dir: Path, tmp_path: Path
) -> None:
    path = write(generate("chest-xray", 61881), tmp_path)
    item = replace(question(1, "yes", "Is the heart seen?"), images=(path,))
    call = {"tool": "segment", "arguments": {"image": 1, "target": "heart"}}
    script = (
        {"why": "look", "calls": [call]},
        {"why": "found", "answer": "Yes, the heart is seen [E2]."},
    )
    config = Config(data_dir=data_dir, planner={"base_url": model.url})
    model.say = steps(*script)
    direct = ask(AgentSubject(config, {}), item, item.question)
    model.say = steps(*script)
    with Assistant.from_config(config) as assistant, served(create_app(assistant)) as url:
        subject = make_subject(f"agent-endpoint:{url}", config, NONE)
        reply = ask(subject, item, item.question)
    assert reply.text == direct.text == "Yes, the heart is seen [E2]."
    assert reply.evidence == direct.evidence and len(reply.evidence) == 2
    assert (reply.confidence, reply.abstained) == (direct.confidence, False)


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an app on a free port; gives the base URL of its chat endpoint."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join()


def test_the_agent_without_tools_is_offered_none(model: ScriptedModel, data_dir: Path) -> None:
    model.say = steps({"why": "no tools", "answer": "There is not enough evidence."})
    config = Config(data_dir=data_dir, planner={"base_url": model.url})
    reply = ask(AgentSubject(config, {}, "tools"), question(1, "yes"))
    assert reply.abstained
    schema = json.dumps(model.asked[0]["response_format"])
    assert not [name for name in tool_names() if name in schema]


@pytest.mark.slow
def test_the_bundled_planner_answers_in_this_process(tmp_path: Path, data_dir: Path) -> None:
    from overread.agent.bundled import planner_folder

    folder = planner_folder(data_dir)
    path = write(generate("chest-xray", 61881), tmp_path)
    item = replace(question(1, "yes", "Is there a pleural effusion?"), images=(path,))
    subject = make_subject(f"local:{folder}", Config(data_dir=data_dir), NONE)
    first = ask(subject, item, item.question)
    again = ask(subject, item, item.question)
    assert first.text and first == again
    assert first.confidence is not None and 0 < first.confidence <= 1
