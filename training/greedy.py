"""Greedy answers token by token, from a model in this process and from a served one, compared.

Two implementations of one bfloat16 model round differently. Where two tokens are nearly equally
likely, that alone can turn the choice; everything after it then differs, too. So the first token
that differs is what tells, and how near the two candidates were to each other there.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import PIL.Image

from overread.agent.prompts import Message, for_template

BF16_BITS = 8
"""Of the significand of bfloat16, the leading one included."""

TIE_STEPS = 2.0
"""A gap between two logits up to so many bfloat16 steps is a tie: each may be off by one."""

TOP = 20
"""Candidates kept at each token; what OpenAI's protocol allows."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question as the server is asked it, and its pictures as the processor takes them."""

    messages: list[Message]
    pictures: list[PIL.Image.Image]


@dataclass(frozen=True, slots=True)
class Token:
    """A chosen token.

    Attributes:
        id: In the vocabulary.
        logprobs: Of the likeliest candidates, by token; natural logarithms.
        step: One bfloat16 step at the size of the largest logit; NaN from a server, which tells
            no logits.
    """

    id: int
    logprobs: Mapping[int, float]
    step: float = math.nan


@dataclass(frozen=True, slots=True)
class Greedy:
    """An answer: how many tokens the prompt had, and the tokens that were chosen."""

    prompt_tokens: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first token that differs.

    Attributes:
        position: From 0. here, there: The tokens; None where the answer had ended.
        here_logprobs: Of (here, there) in this process; None where it is not among the likeliest.
        there_logprobs: The same two, served.
        gap: Between the two in this process, in logits; None where one is not among the likeliest.
        step: One bfloat16 step of the logits there.
    """

    position: int
    here: int | None
    there: int | None
    here_logprobs: tuple[float | None, float | None]
    there_logprobs: tuple[float | None, float | None]
    gap: float | None
    step: float

    @property
    def is_tie(self) -> bool:
        """Whether rounding in bfloat16 explains it."""
        return self.gap is not None and self.gap <= TIE_STEPS * self.step


def bf16_step(value: float) -> float:
    """Return the distance of neighbouring bfloat16 numbers at the size of a value.

    Source: bfloat16 has 8 bits of significand; Kalamkar et al., arXiv:1905.12322.

    >>> bf16_step(20.0), bf16_step(1.0)
    (0.125, 0.0078125)
    """
    return 2.0 ** (math.frexp(value)[1] - BF16_BITS) if value else 0.0


def divergence(here: Greedy, there: Greedy) -> Divergence | None:
    """Return where two answers part; None if they are the same to the last token."""
    for position in range(max(len(here.tokens), len(there.tokens))):
        ours = here.tokens[position] if position < len(here.tokens) else None
        theirs = there.tokens[position] if position < len(there.tokens) else None
        one, other = (token.id if token else None for token in (ours, theirs))
        if one == other:
            continue
        here_logprobs = _two(ours, one, other)
        first, second = here_logprobs
        gap = None if first is None or second is None else first - second
        return Divergence(
            position=position,
            here=one,
            there=other,
            here_logprobs=here_logprobs,
            there_logprobs=_two(theirs, one, other),
            gap=gap,
            step=ours.step if ours else 0.0,
        )
    return None


def in_process(model: Any, processor: Any, prompt: Prompt, longest: int) -> Greedy:
    """Return the greedy answer of a transformers model.

    Args:
        model: Ready to generate.
        processor: Of the model, with its chat template.
        prompt: Its pictures are handed to the processor as they are.
        longest: Tokens of the answer at most.
    """
    import torch

    inputs = inputs_of(model, processor, prompt)
    with torch.inference_mode():
        out = model.generate(
            **inputs, max_new_tokens=longest, do_sample=False, num_beams=1,
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
    start = inputs["input_ids"].shape[1]
    tokens = []
    for token, logits in zip(out.sequences[0, start:].tolist(), out.logits, strict=True):
        row = logits[0].float()
        best = torch.log_softmax(row, -1).topk(min(TOP, len(row)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        tokens.append(Token(token, dict(pairs), bf16_step(float(row.abs().max()))))
    return Greedy(start, tuple(tokens))


def encode(processor: Any, prompt: Prompt) -> Any:
    """Return a prompt as the processor makes it: a batch of one, tensors of torch."""
    words = processor.apply_chat_template(for_template(prompt.messages), add_generation_prompt=True)
    return processor(text=words, images=prompt.pictures or None, return_tensors="pt")


def inputs_of(model: Any, processor: Any, prompt: Prompt) -> Any:
    """Return a prompt as the model takes it: on its device, pixels in its type."""
    inputs = encode(processor, prompt).to(model.device)
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
    return inputs


async def served(client: Any, model: str, prompt: Prompt, longest: int) -> Greedy:
    """Return the greedy answer of an OpenAI-compatible server that tells token ids (vLLM).

    Args:
        client: An `openai.AsyncOpenAI`.
        model: As served.
        prompt: Its messages are sent as they are.
        longest: Tokens of the answer at most.
    """
    reply = await client.chat.completions.create(
        model=model,
        messages=prompt.messages,
        temperature=0.0,
        max_tokens=longest,
        logprobs=True,
        top_logprobs=TOP,
        extra_body={"return_tokens_as_token_ids": True},
    )
    content = reply.choices[0].logprobs.content or []
    tokens = [
        Token(
            _number(entry.token),
            {_number(other.token): other.logprob for other in entry.top_logprobs},
        )
        for entry in content
    ]
    return Greedy(reply.usage.prompt_tokens, tuple(tokens))


def _two(token: Token | None, one: int | None, other: int | None) -> tuple[Any, Any]:
    if token is None:
        return None, None
    found = token.logprobs
    return (
        None if one is None else found.get(one),
        None if other is None else found.get(other),
    )


def _number(token: str) -> int:
    return int(token.removeprefix("token_id:"))
