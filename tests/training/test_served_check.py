import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from overread.agent.profiles import load_profile, profile_toml
from overread.imaging.errors import InputError
from overread.training.export import Wanted, export, verify
from overread.training.greedy import Greedy, Token, bf16_step, divergence, in_process
from overread.training.served_check import check, compare, phantom_prompts
from overread.training.trained import find
from tests.training import served_vlm


def answer(*tokens: Token, prompt_tokens: int = 9) -> Greedy:
    return Greedy(prompt_tokens, tokens)


SURE = Token(5, {5: -0.01, 6: -5.0}, 0.125)


@given(st.floats(-1e30, 1e30, allow_subnormal=False))
def test_a_step_is_the_distance_of_bfloat16_neighbours(value: float) -> None:
    rounded = torch.tensor(abs(value), dtype=torch.bfloat16)
    above = torch.tensor(rounded.view(torch.int16).item() + 1, dtype=torch.int16)
    neighbour = above.view(torch.bfloat16)
    if float(rounded) > 1e-30:
        assert float(neighbour) - float(rounded) == bf16_step(float(rounded))


def test_same_tokens_do_not_diverge() -> None:
    assert divergence(answer(SURE, SURE), answer(SURE, SURE)) is None


def test_the_first_differing_token_is_told_with_both_log_probabilities() -> None:
    here = Token(1, {1: -0.70, 2: -0.72}, 0.125)
    there = Token(2, {2: -0.69, 1: -0.73})
    found = divergence(answer(SURE, here, SURE), answer(SURE, there))
    assert found is not None
    assert (found.position, found.here, found.there) == (1, 1, 2)
    assert found.here_logprobs == (-0.70, -0.72)
    assert found.there_logprobs == (-0.73, -0.69)
    assert found.gap == pytest.approx(0.02)
    assert found.is_tie  # two bfloat16 steps at logits of 16 to 32 are 0.25


def test_a_plain_difference_is_no_tie() -> None:
    found = divergence(answer(SURE), answer(Token(6, {6: -0.1, 5: -3.0})))
    assert found is not None and found.gap == pytest.approx(4.99) and not found.is_tie
    unseen = divergence(answer(SURE), answer(Token(99, {99: -0.1})))
    assert unseen is not None and unseen.gap is None and not unseen.is_tie


def test_an_answer_that_ends_earlier_differs_and_is_no_tie() -> None:
    found = divergence(answer(SURE), answer(SURE, SURE))
    assert found is not None and (found.here, found.there) == (None, 5)
    assert found.here_logprobs == (None, None) and not found.is_tie


def test_counts_are_of_prompts_and_a_misread_prompt_is_never_agreement() -> None:
    tokenizer = served_vlm.processor().tokenizer
    tie = Token(6, {6: -0.6, 5: -0.7})
    near = Token(5, {5: -0.65, 6: -0.66}, 0.125)
    here = [answer(SURE), answer(near), answer(SURE)]
    found = compare("x", here, [answer(SURE), answer(tie), answer(SURE)], tokenizer)
    assert (found.prompts, found.same, found.ties, found.agrees) == (3, 2, 1, True)
    assert found.differences[0].words == (tokenizer.decode([5]), tokenizer.decode([6]))
    wrong = [answer(SURE), answer(tie), Greedy(8, (SURE,))]
    assert not compare("x", here, wrong, tokenizer).agrees
    wrong = [answer(SURE), answer(Token(6, {6: -0.1, 5: -9.0}), SURE), answer(SURE)]
    assert compare("x", [answer(SURE)] * 3, wrong, tokenizer).agrees is False


def test_greedy_answers_carry_log_probabilities_of_this_model() -> None:
    model, (prompt,) = served_vlm.model(), served_vlm.prompts(1)
    found = in_process(model, served_vlm.processor(), prompt, 5)
    assert 1 <= len(found.tokens) <= 5
    for token in found.tokens:
        assert max(token.logprobs, key=token.logprobs.__getitem__) == token.id
        assert 0 < sum(math.exp(value) for value in token.logprobs.values()) <= 1.0001


def test_prompts_are_of_the_agent_and_bare_and_carry_their_picture() -> None:
    first, second = phantom_prompts(2, load_profile("bundled"))
    assert first.messages[0]["content"].startswith("You read medical images with tools")
    assert "[E1] image 1: modality" in first.messages[1]["content"][1]["text"]
    assert second.messages[0]["content"].startswith("Answer from the images alone")
    assert first.pictures[0].size == (224, 224)
    assert first.messages[1]["content"][0]["image_url"]["url"].startswith("data:image/png")


def test_ours_alone_cannot_be_served(tmp_path: Path) -> None:
    base = served_vlm.save_base(tmp_path / "base")
    with pytest.raises(InputError, match="own tensors are no model"):
        check(find(base), tmp_path, {"kind": "ours", "format": None}, [])


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_vllm_answers_as_the_trained_model_merged_and_as_adapter(tmp_path: Path) -> None:
    """Fifty prompts each; only ties of bfloat16 may differ."""
    run = find(served_vlm.save_taught_run(tmp_path))
    small = load_profile("bundled").model_copy(update={"context": 1024})
    profile = tmp_path / "small.toml"
    profile.write_text(profile_toml(small))
    prompts = served_vlm.prompts(50)
    for kind in ("merged", "adapter"):
        out = export(run, tmp_path / kind, Wanted(kind, profile=str(profile)), list)
        found = check(run, out, verify(out), prompts)
        told = (out / "check.json").read_text()
        assert (found.prompts, found.misread) == (50, 0), told
        assert found.agrees, told
        assert found.same > 25, told
