"""Turns of a rollout as tokens: what the policy wrote, what was said to it, and in which order."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import PIL.Image

from overread.agent.prompts import Message
from overread.training.examples import Example

if TYPE_CHECKING:
    from trl import GRPOTrainer

_TYPE_FIELDS = ("token_type_ids", "mm_token_type_ids")


@dataclass(frozen=True)
class Request:
    """What the model is asked to go on from.

    Attributes:
        messages: With their pictures; the prompt alone where `ids` goes further.
        ids: Tokens so far; None to render the messages.
    """

    messages: list[Message]
    ids: list[int] | None = None


@dataclass(frozen=True)
class Reply:
    """What the model wrote.

    Attributes:
        after: Tokens that it went on from.
        ids: Its own tokens.
        logprobs: Of each, as the sampler says; None where TRL computes them itself.
    """

    after: list[int]
    ids: list[int]
    logprobs: list[float] | None


@dataclass
class Turns:
    """One rollout.

    Attributes:
        number: Its place in the batch.
        example: That it answers.
        prompt: Messages with pictures.
        prompt_ids: Tokens of the prompt; empty until the first reply.
        completion_ids: All that follows. mask: 1 for the policy's own tokens, 0 for others.
        logprobs: Of the sampler; 0 for tokens that were not sampled, or where it gave none.
        replies: Of the policy.
    """

    number: int
    example: Example
    prompt: list[Message]
    prompt_ids: list[int] = field(default_factory=list)
    completion_ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    replies: int = 0

    def request(self) -> Request:
        """Return what to go on from."""
        if not self.prompt_ids:
            return Request(self.prompt)
        return Request(self.prompt, [*self.prompt_ids, *self.completion_ids])


class TurnWriter:
    """Generates and tokenises by the trainer's own means, so that vLLM and transformers both work.

    TRL has no public call for that; `_tokenize_prompts` and `_generate_single_turn` are what its
    own loop over tool calls uses.
    """

    def __init__(self, trainer: "GRPOTrainer") -> None:
        """Work for a trainer."""
        self._trainer: Any = trainer
        self._tokenizer: Any = trainer._tokenizer
        self.has_logprobs = False

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Return a reply a request."""
        rendered, images, fields = self._trainer._tokenize_prompts([r.messages for r in requests])
        ids = [request.ids or list(own) for request, own in zip(requests, rendered, strict=True)]
        for name in _TYPE_FIELDS:  # a session's later tokens are text
            if name in fields:
                fields[name] = [
                    [*map(int, row), *([0] * (len(own) - len(row)))]
                    for row, own in zip(fields[name], ids, strict=True)
                ]
        replies, logprobs = self._trainer._generate_single_turn(ids, images, fields, 1)
        self.has_logprobs = logprobs is not None
        rows = logprobs or [None] * len(requests)
        return [
            Reply(after, list(reply), row)
            for after, reply, row in zip(ids, replies, rows, strict=True)
        ]

    def append_reply(self, turns: Turns, reply: Reply) -> str:
        """Append what the policy wrote; return it as text."""
        if not turns.prompt_ids:
            turns.prompt_ids = reply.after
        turns.completion_ids += reply.ids
        turns.mask += [1] * len(reply.ids)
        turns.logprobs += reply.logprobs or [0.0] * len(reply.ids)
        turns.replies += 1
        return self.decode(reply)

    def append_user(self, turns: Turns, text: str) -> None:
        """Append what is said to the policy, as its chat template renders it after a reply."""
        ids = self._suffix(text)
        if turns.completion_ids[-1] in self._trainer.eos_token_ids:
            ids = ids[1:]
        turns.completion_ids += ids
        turns.mask += [0] * len(ids)
        turns.logprobs += [0.0] * len(ids)

    def has_room(self, turns: Turns, context: int) -> bool:
        """Return whether one more reply fits."""
        used = len(turns.prompt_ids) + len(turns.completion_ids)
        return bool(used + self._trainer.max_completion_length <= context)

    def decode(self, reply: Reply) -> str:
        """Return a reply as text, without the template's marks."""
        return str(self._tokenizer.decode(reply.ids, skip_special_tokens=True))

    def _suffix(self, text: str) -> list[int]:
        """Return the tokens from the end mark of a reply up to where the next reply begins.

        Rendered after a made-up exchange, then cut, as `GRPOTrainer._get_tool_suffix_ids` does: no
        template says how it goes on in the middle.
        """
        ended: list[Message] = [
            {"role": "user", "content": [{"type": "text", "text": "-"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "-"}]},
        ]
        said: Message = {"role": "user", "content": [{"type": "text", "text": text}]}
        render = self._trainer.processing_class.apply_chat_template
        options = {"chat_template": self._trainer.chat_template, "tokenize": False}
        before = render(ended, add_generation_prompt=False, **options)
        whole = render([*ended, said], add_generation_prompt=True, **options)
        mark = self._tokenizer.eos_token
        place = before.rfind(mark)
        if place < 0 or not whole.startswith(before[:place]):
            raise ValueError(f"the chat template does not end a reply with {mark!r}")
        ids = self._tokenizer(whole[place:], add_special_tokens=False)["input_ids"]
        return [int(token) for token in ids]


def pictures_in(messages: Sequence[Message]) -> list[Message]:
    """Return messages of the chat endpoint with their `data:` URLs as pictures."""
    shown: list[Message] = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            content = [_picture(part) if part["type"] == "image_url" else part for part in content]
        shown.append({**message, "content": content})
    return shown


def _picture(part: Message) -> Message:
    data = base64.b64decode(str(part["image_url"]["url"]).split(",", 1)[1])
    picture = PIL.Image.open(io.BytesIO(data))
    return {"type": "image", "image": picture.convert("RGB")}
