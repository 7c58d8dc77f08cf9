"""Pairs of every kind, built by running a real (tiny) model over real retrieval."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from overread.agent.steps import Step, ToolCall
from overread.evals.items import Item
from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate, split_of
from overread.index.embedder import load_embedder
from overread.training.asking import ProcessAsker
from overread.training.copying import measure, summarise
from overread.training.examples import Example, Pair, PhantomRef, open_image, read_lines
from overread.training.noise import Noise, noised
from overread.training.pair_balance import yes_or_no
from overread.training.pair_context import ContextPool, open_pool, says_as
from overread.training.pair_kinds import Trial, mark, pairs_of
from overread.training.pair_prompts import AGENT, DIRECT, form_of, in_form_of
from overread.training.pairs import Built, Settings, build_pairs, without_duplicates
from overread.training.phantom_examples import examples_of
from overread.training.trials import item_to_mark
from tests.training.tiny_vlm import Lesson, learn, make_model, make_processor

REPORTS = 35
WORD = {"yes": "no", "no": "yes"}


def presence_of(domain: str, patient: int, agent: bool) -> Example:
    """Return a phantom's question about presence."""
    ref = PhantomRef(domain=domain, patient=patient)
    split = split_of(f"ph-{domain}-{patient:05d}")
    for example in examples_of(generate(domain, patient), ref, split):
        asked = example.reference.get("options") == ["yes", "no"]
        if asked and (example.task == "tool_use") == agent:
            return example
    raise AssertionError(f"patient {patient} is not asked about presence")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> ContextPool:
    return open_pool(tmp_path_factory.mktemp("pool"), load_embedder("bundled"), REPORTS)


def step(answer: str) -> str:
    return Step(why="-", answer=answer).text()


def lessons_of(example: Example, pool: ContextPool, replies: dict[str, str]) -> list[Lesson]:
    """Return what the model is to say alone, helped, misled, and to noise."""
    item, form = item_to_mark(example), form_of(example)
    assert item is not None
    clear = open_image(example.images[0])
    seed = Noise().of(f"{example.dataset}:{example.id}")
    contexts = {
        "alone": None, "helped": pool.retrieved(example), "misled": pool.wrong(example, item),
    }  # fmt: skip
    said = []
    for name, context in contexts.items():
        if name in replies:
            assert name == "alone" or context is not None
            said.append((form.prompt(example, context), [clear], replies[name]))
    helped = form.prompt(example, contexts["helped"])
    said.append((helped, [noised(clear, seed)], replies["blind"]))
    return said


def text_of(lesson: Lesson) -> str:
    parts = [
        message["content"]
        if isinstance(message["content"], str)
        else " ".join(part.get("text", "") for part in message["content"])
        for message in lesson[0]
    ]
    return " ".join([*parts, lesson[2]])


@pytest.mark.slow
def test_each_kind_is_built_from_what_a_model_says(pool: ContextPool, tmp_path: Path) -> None:
    first, second = presence_of("ultrasound", 0, False), presence_of("fundus", 4, False)
    third = presence_of("chest-ct", 2, True)
    true = [str(e.reference["answers"][0]) for e in (first, second, third)]
    lessons = [
        *lessons_of(first, pool, {"alone": WORD[true[0]], "helped": true[0], "blind": true[0]}),
        *lessons_of(
            second, pool,
            {"alone": true[1], "helped": true[1], "misled": WORD[true[1]], "blind": WORD[true[1]]},
        ),
        *lessons_of(
            third, pool,
            {"alone": step(true[2]), "helped": step(WORD[true[2]]), "misled": step(true[2]),
             "blind": step(WORD[true[2]])},
        ),
    ]  # fmt: skip
    processor = make_processor([text_of(lesson) for lesson in lessons])
    model = make_model(processor)
    assert learn(model, processor, lessons, steps=400) < 0.05
    asker = ProcessAsker("tiny", model, processor, 40)
    out = tmp_path / "pairs.jsonl"
    built = build_pairs([first, second, third, first], asker, pool, out, Settings(concurrency=2))
    pairs = {pair.id.removeprefix("phantoms:"): pair for pair in read_lines(out, Pair)}
    assert built.kinds == {"look": 1, "resist_context": 2, "use_context": 2}
    assert set(pairs) == {
        f"{first.id}:direct:look",
        f"{first.id}:direct:use_context",
        f"{second.id}:direct:use_context:agreeing",
        f"{second.id}:direct:resist_context:wrong",
        f"{third.id}:agent:resist_context:retrieved",
    }
    look = pairs[f"{first.id}:direct:look"]
    assert (look.chosen, look.rejected) == (true[0], true[0])
    assert look.rejected_images == look.images == first.images
    assert look.noise == Noise().of(f"phantoms:{first.id}").facts()
    use = pairs[f"{first.id}:direct:use_context"]
    assert (use.chosen, use.rejected) == (true[0], WORD[true[0]])
    resist = pairs[f"{second.id}:direct:resist_context:wrong"]
    assert (resist.chosen, resist.rejected) == (true[1], WORD[true[1]])
    agent = pairs[f"{third.id}:agent:resist_context:retrieved"]
    assert (agent.chosen, agent.rejected) == (step(true[2]), step(WORD[true[2]]))
    assert [message["role"] for message in agent.messages] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    assert str(agent.messages[-1]["content"]).startswith("[E2] find_similar_cases for image 1: ")
    for pair in pairs.values():
        told = json.dumps(pair.messages)
        assert "<data>" in told and pair.patient not in told and pair.task in ("closed", "tool_use")


def test_contexts_are_of_other_patients_and_the_wrong_ones_are_wrong(pool: ContextPool) -> None:
    wrong = 0
    for patient in range(6):
        example = presence_of("chest-xray", patient, False)
        item = item_to_mark(example)
        assert item is not None
        near, misleading = pool.retrieved(example), pool.wrong(example, item)
        assert near is not None
        assert example.patient not in {hit.patient_id for hit in near.hits}
        if misleading is None:
            continue
        wrong += 1
        assert misleading.says == WORD[item.answers[0]]
        assert says_as(item, misleading, f"{misleading.says}.")
        assert not says_as(item, misleading, item.answers[0])
        for hit in misleading.hits:
            assert hit.patient_id != example.patient
            assert split_of(hit.patient_id) == "train"
    assert wrong >= 2


def test_a_model_that_copies_is_measured_to_copy(pool: ContextPool) -> None:
    asked = [presence_of("chest-xray", patient, False) for patient in range(5)]
    truth = {str(e.messages[-2]["content"][-1]["text"]): e.reference["answers"][0] for e in asked}
    assert len(truth) >= 3

    class Copier:
        name = "copier"

        async def reply(self, messages: Sequence, pictures: Sequence, form: str) -> str:
            text = messages[-1]["content"][-1]["text"]
            right = next(truth[question] for question in truth if text.endswith(question))
            return WORD[right] if "<data>" in text else right

        async def close(self) -> None:
            return None

    alike = [e for e in asked if truth[e.messages[-2]["content"][-1]["text"]]
             == e.reference["answers"][0]]  # fmt: skip
    rows = measure(alike, Copier(), pool, concurrency=2)
    assert [row.id for row in rows] == [f"phantoms:{e.id}" for e in alike]
    found = summarise(rows)
    assert found.alone.rate == 1.0 and found.retrieved.rate == 0.0
    assert found.copied.hits == found.copied.of == found.misled.hits > 0
    assert found.over_reliance.rate == 1.0 and found.helped.of == 0


def test_a_killed_filling_of_the_pool_goes_on(tmp_path: Path) -> None:
    embedder = load_embedder("bundled")
    part = open_pool(tmp_path, embedder, 7)
    whole = open_pool(tmp_path, embedder, 14)
    assert part.digest() != whole.digest()
    assert whole.digest() == open_pool(tmp_path, embedder, 14).digest()


ITEM = Item("1", "Is there a mass?", (), ("yes",), "closed", ("yes", "no"))
EXAMPLE = Example(
    id="1", dataset="d", task="closed", patient="p", split="train",
    messages=[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Question: Is there a mass?"}]}],
    images=[PhantomRef(domain="fundus", patient=1)], reference={"answers": ["yes"], "kind": "closed"},
)  # fmt: skip


def trial(
    alone: str, helped: str | None = None, misled: str | None = None, blind: str = ""
) -> Trial:
    def said(reply: str | None, name: str) -> Any:
        prompt = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": name}]}]
        return None if reply is None else mark(ITEM, DIRECT, prompt, reply)

    return Trial(
        EXAMPLE, ITEM, DIRECT, said(alone, "alone"), said(helped, "helped"), said(misled, "misled"),
        said(blind, "helped"), Noise(seed=7),
    )  # fmt: skip


def test_the_table_of_kinds() -> None:
    def kinds(made: Trial) -> list[str]:
        return [pair.kind for pair in pairs_of(made)]

    assert kinds(trial("no", "yes")) == ["use_context"]
    assert kinds(trial("yes", "no")) == ["resist_context"]
    assert kinds(trial("yes", "yes", "no")) == ["use_context", "resist_context"]
    assert kinds(trial("yes", "no", "no")) == ["resist_context", "resist_context"]
    assert kinds(trial("yes", "yes", "yes", "yes")) == ["look"]
    assert kinds(trial("no", "no", None, "no")) == []


def test_a_right_report_prefers_what_a_wrong_one_is_resisted_for() -> None:
    agreeing, resisting = pairs_of(trial("Yes.", "yes", "no"))
    assert agreeing.id.endswith(":use_context:agreeing")
    assert (agreeing.chosen, agreeing.rejected) == ("Yes.", "no")
    assert (resisting.chosen, resisting.rejected) == ("Yes.", "no")
    assert "helped" in str(agreeing.messages) and "misled" in str(resisting.messages)


def test_an_unreadable_reply_is_no_wrong_answer() -> None:
    assert pairs_of(trial("mumble", "yes")) == []
    assert pairs_of(trial("yes", "mumble", "mumble")) == []


def test_look_prefers_the_models_own_right_words_and_else_the_reference() -> None:
    (own,) = pairs_of(trial("no", "Yes, a mass.", None, "yes"))[:1]
    assert (own.kind, own.chosen, own.rejected) == ("look", "Yes, a mass.", "yes")
    (gold,) = pairs_of(trial("no", "no", None, "Yes."))
    assert (gold.kind, gold.chosen, gold.rejected) == ("look", "yes", "Yes.")
    assert gold.noise == {"step": 999, "seed": 7}


CALL = Step(why="Look.", calls=(ToolCall(tool="segment", arguments={"image": 1}),)).text()


def test_the_agents_own_call_is_better_than_its_answer_without_one() -> None:
    def made(alone: str, first: str) -> list[Pair]:
        prompt = [{"role": "user", "content": "question"}]
        return pairs_of(Trial(EXAMPLE, ITEM, AGENT, mark(ITEM, AGENT, prompt, alone), first=first))

    (pair,) = made(step("Yes [E1]."), CALL)
    assert (pair.kind, pair.chosen, pair.rejected) == ("call_tool", CALL, step("Yes [E1]."))
    assert made(step("Yes [E1]."), step("Yes [E1].")) == []
    assert made("mumble", CALL) == []
    assert yes_or_no(CALL) == ""


def test_an_answer_is_not_taught_the_reason_of_a_call_nor_its_citation() -> None:
    alone = Step(why="Measure the heart.", answer="Yes [E1].").text()
    assert json.loads(in_form_of(alone, step("No [E2]."))) == {"why": "-", "answer": "Yes [E2]."}
    assert json.loads(in_form_of(alone, step("No.")))["answer"] == "Yes."
    twice = Step(why="-", answer="Yes [E1][E3], on the left [E1].").text()
    assert (
        json.loads(in_form_of(twice, step("No [E2].")))["answer"] == "Yes [E2], on the left [E2]."
    )
    assert in_form_of("Yes.", "No.") == "Yes." and in_form_of(CALL, step("No.")) == CALL


def test_steps_of_the_agent_are_read_and_other_text_is_not() -> None:
    assert AGENT.words(step("Yes [E2].")) == "Yes [E2]."
    for reply in ("Yes [E2].", "{", "3", '{"why": "-", "calls": []}', '{"answer": "yes"}'):
        assert AGENT.words(reply) is None


class Scripted:
    """Says what a table says about the patient's question; may die on the way."""

    name = "scripted"

    def __init__(self, die_after: int | None = None) -> None:
        self._left = die_after

    async def reply(self, messages: Sequence, pictures: Sequence, form: str) -> str:
        await asyncio.sleep(0)
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return "yes"

    async def close(self) -> None:
        return None


def examples(number: int) -> list[Example]:
    made = []
    for n in range(number):
        text = {"type": "text", "text": f"Question: Is there a mass in region {n}?"}
        messages = [{"role": "user", "content": [{"type": "image"}, text]}]
        made.append(EXAMPLE.model_copy(update={"id": str(n), "messages": messages}))
    return made


def build(out: Path, number: int = 9, die_after: int | None = None) -> Built:
    return build_pairs(examples(number), Scripted(die_after), None, out, Settings(concurrency=3))


def test_a_killed_run_goes_on_and_nothing_is_doubled_or_lost(tmp_path: Path) -> None:
    out, whole = tmp_path / "killed" / "pairs.jsonl", tmp_path / "pairs.jsonl"
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
    code += f"from pathlib import Path; import tests.training.test_pairs as t; t.build(Path({str(out)!r}), 9, 9)"
    died = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    journal = out.with_name("pairs.jsonl.journal")
    done = journal.read_text().splitlines()
    assert 1 < len(done) < 10 and not out.exists()
    with journal.open("a") as file:  # the line that was being written
        file.write('{"example": "d:7", "pai')
    again, uninterrupted = build(out), build(whole)
    assert out.read_bytes() == whole.read_bytes()
    assert again.outcomes == uninterrupted.outcomes
    assert journal.read_text().splitlines()[: len(done)] == done
    assert len(journal.read_text().splitlines()) == 10


def test_pairs_that_say_the_same_are_kept_once(tmp_path: Path) -> None:
    built = build(tmp_path / "pairs.jsonl", 4)
    pairs = list(read_lines(built.out, Pair))
    assert (built.pairs, built.duplicates) == (4, 0)
    assert without_duplicates([*pairs, *pairs]) == pairs
    renamed = [pair.model_copy(update={"id": f"again-{pair.id}"}) for pair in pairs]
    assert without_duplicates([*pairs, *renamed]) == pairs
    same = pairs[0].model_copy(update={"noise": None, "rejected_images": None})
    assert without_duplicates([same]) == []


def test_other_settings_need_another_file(tmp_path: Path) -> None:
    build(tmp_path / "pairs.jsonl", 3)
    with pytest.raises(InputError, match="begun with another examples; choose another --out"):
        build(tmp_path / "pairs.jsonl", 4)


def test_test_patients_and_patients_of_two_splits_are_refused(tmp_path: Path) -> None:
    test = EXAMPLE.model_copy(update={"split": "test"})
    with pytest.raises(InputError, match="never learnt from"):
        build_pairs([test], Scripted(), None, tmp_path / "a.jsonl", Settings())
    stated = EXAMPLE.model_copy(update={"images": [PhantomRef(domain="fundus", patient=0)]})
    with pytest.raises(InputError, match="never learnt from"):  # whatever its line states
        build_pairs([stated], Scripted(), None, tmp_path / "a.jsonl", Settings())
    other = EXAMPLE.model_copy(update={"id": "2", "split": "validation"})
    with pytest.raises(InputError, match="both the training and the validation"):
        build_pairs([EXAMPLE, other], Scripted(), None, tmp_path / "b.jsonl", Settings())
