"""The agent's own graph as a rollout: a policy of scripted words, real tokens, real tools."""

from typing import Any

import pytest
from trl import GRPOTrainer
from trl.data_utils import prepare_multimodal_messages

from overread.imaging.errors import InputError
from overread.training import rollouts
from overread.training.examples import Example
from overread.training.grpo import rows_of
from overread.training.policy_turns import pictures_in
from overread.training.rewards.session import SessionRecord, read_session
from tests.training.grpo_runs import look, make_trainer, of_phantom, say, scripted
from tests.training.tiny_planner import save_planner

pytestmark = pytest.mark.slow

SESSION, DIRECT = of_phantom(2, "tool_use"), of_phantom(1, "closed")
YES = "Yes, there is a nodule [E2]."


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> GRPOTrainer:
    folder = tmp_path_factory.mktemp("planner")
    return make_trainer(save_planner(folder), folder / "run", [SESSION, DIRECT])


def roll(trainer: GRPOTrainer, examples: list[Example]) -> dict[str, Any]:
    rows = rows_of(examples)
    prompts = [
        prepare_multimodal_messages(row["prompt"], images=row["images"])
        for row in (rows[number] for number in range(len(examples)))
    ]
    assert isinstance(trainer.rollout_func, rollouts.Rollouts)
    return trainer.rollout_func(prompts, trainer)


def whole(trainer: GRPOTrainer, out: dict[str, Any], place: int) -> str:
    return str(trainer._tokenizer.decode(out["prompt_ids"][place] + out["completion_ids"][place]))


def record(out: dict[str, Any], place: int) -> SessionRecord:
    return read_session(out["session"][place])


def test_a_session_is_what_the_agent_shows_token_by_token(
    trainer: GRPOTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    step = rollouts.PolicyPlanner.step

    async def noted(self: Any, messages: Any, *args: Any, **options: Any) -> Any:
        shown.append(messages)
        return await step(self, messages, *args, **options)

    monkeypatch.setattr(rollouts.PolicyPlanner, "step", noted)
    scripted(trainer, lambda call, place: look() if call == 0 else say(YES))
    out = roll(trainer, [SESSION])
    served = [*pictures_in(shown[-1]), {"role": "assistant", "content": say(YES)}]
    rendered = trainer.processing_class.apply_chat_template(
        prepare_multimodal_messages(served), tokenize=True, return_dict=True
    )["input_ids"][0]
    ours = out["prompt_ids"][0] + out["completion_ids"][0]
    assert ours == list(rendered)[: len(ours)]
    assert trainer._tokenizer.decode(list(rendered)[len(ours) :]) == "\n"
    written = [
        token
        for token, own in zip(out["completion_ids"][0], out["env_mask"][0], strict=True)
        if own
    ]
    end = trainer._tokenizer.eos_token
    replies = [look()] + [say(YES)] * (record(out, 0).replies - 1)
    assert trainer._tokenizer.decode(written) == "".join(f"{reply}{end}" for reply in replies)


def test_sessions_run_real_tools_and_the_verifier(trainer: GRPOTrainer) -> None:
    answers = ("Yes, there is a nodule [E2].", "No, there is no nodule [E2].")
    scripted(trainer, lambda call, place: look() if call == 0 else say(answers[place]))
    out = roll(trainer, [SESSION, SESSION])
    one, other = record(out, 0), record(out, 1)
    assert [entry["tool"] for entry in one.evidence] == ["intake", "segment"]
    assert one.evidence == other.evidence  # a group meets the same world
    found = one.evidence[1]["values"]["found"]
    right, wrong = (one, other) if found else (other, one)
    assert (right.answer, right.removed, right.abstained) == (answers[not found], 0, False)
    assert wrong.removed == 1
    assert wrong.abstained
    assert (wrong.replies, wrong.valid, wrong.calls) == (3, 3, 1)  # the one revision was asked for


def test_rollouts_of_different_lengths_share_each_generation(trainer: GRPOTrainer) -> None:
    def replies(call: int, place: int) -> str:
        return ("Yes.", look(), "no step")[place] if call == 0 else say(YES)

    sizes = scripted(trainer, replies)
    out = roll(trainer, [DIRECT, SESSION, SESSION])
    assert sizes[:2] == [3, 2]
    assert out["session"][0] is None
    assert out["env_mask"][0] == [1] * len(out["completion_ids"][0])
    assert "Invalid step: the reply is not JSON" in whole(trainer, out, 2)
    assert (record(out, 2).valid, record(out, 2).replies) == (1, 2) or record(out, 2).removed


def test_a_tool_that_fails_is_told_and_counted(trainer: GRPOTrainer) -> None:
    again = '{"why":"Look.","calls":[{"tool":"segment","arguments":{"image":7,"target":"nodule"}}]}'
    scripted(
        trainer, lambda call, place: again if call == 0 else say("There is not enough evidence.")
    )
    out = roll(trainer, [SESSION])
    assert record(out, 0).failed_calls == 1
    assert record(out, 0).abstained
    assert "segment failed: there is no image 7" in whole(trainer, out, 0)


def test_a_policy_that_never_answers_ends_with_a_reason(trainer: GRPOTrainer) -> None:
    scripted(trainer, lambda call, place: "{}")
    ended = record(roll(trainer, [SESSION]), 0)
    assert (ended.answer, ended.replies, ended.valid) == ("", 3, 0)
    assert "no usable answer within 3 steps" in ended.failure


def test_a_prompt_that_nobody_serves_is_refused(trainer: GRPOTrainer) -> None:
    odd = SESSION.model_copy(
        update={"messages": [{"role": "system", "content": "Be brief."}, *SESSION.messages[1:]]}
    )
    rolls = rollouts.Rollouts({rollouts.key_of(odd): odd}, rollouts.RolloutSettings("oracle"))
    (row,) = [rows_of([odd])[0]]
    prompt = prepare_multimodal_messages(row["prompt"], images=row["images"])
    scripted(trainer, lambda call, place: say(YES))
    with pytest.raises(InputError, match="does not begin as the agent would: 'Be brief"):
        rolls([prompt], trainer)


def test_a_session_that_outgrows_the_context_ends(
    trainer: GRPOTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "max_completion_length", 4000)
    scripted(trainer, lambda call, place: look())
    ended = record(roll(trainer, [SESSION]), 0)
    assert "longer than the context of 4096 tokens" in ended.failure
    assert ended.calls == 1
