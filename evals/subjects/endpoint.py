"""A model behind an OpenAI-compatible endpoint, asked with images and nothing else."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import openai
from inspect_ai.model import (
    ChatMessage,
    ChatMessageSystem,
    ChatMessageUser,
    Content,
    ContentImage,
    ContentText,
    GenerateConfig,
    Model,
    ModelOutput,
    get_model,
)

from overread.agent.prompts import Message, direct_messages
from overread.agent.threads import in_thread
from overread.agent.verifier import abstains
from overread.evals.items import Item
from overread.evals.patience import is_passing, transport_error
from overread.evals.subjects.base import Reply
from overread.evals.subjects.pictures import picture_urls
from overread.imaging.errors import InputError, OverreadError

SERVICE = "overread"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is, and how it is asked.

    Attributes:
        url: Base URL, ending in /v1.
        model: Its name there.
        api_key: Sent along; part of no log and no identity.
        image_size: Longest edge of the pictures sent, in pixels.
        max_images: In one question; None for no limit of ours.
        max_tokens: Of a reply.
        timeout_s: For a reply.
        concurrency: Questions at the same time.
    """

    url: str
    model: str
    api_key: str | None = None
    image_size: int = 1024
    max_images: int | None = None
    max_tokens: int = 512
    timeout_s: float = 120.0
    concurrency: int = 16


class EndpointSubject:
    """Asks through inspect_ai's OpenAI-compatible provider, at temperature 0.

    The confidence is the geometric mean of the answer tokens' probabilities, where the server tells
    them.
    """

    def __init__(self, name: str, endpoint: Endpoint, identity: Mapping[str, Any]) -> None:
        """Prepare; nothing is sent yet.

        Args:
            name: In tables.
            endpoint: Where the model is.
            identity: What decides its answers beside the endpoint's own settings.
        """
        self.name = name
        self._endpoint = endpoint
        self.identity: Mapping[str, Any] = {
            "kind": "endpoint",
            "model": endpoint.model,
            "image_size": endpoint.image_size,
            "max_images": endpoint.max_images,
            "max_tokens": endpoint.max_tokens,
            **identity,
        }
        self._model: Model | None = None
        self._logprobs = True

    async def answer(self, item: Item, prompt: str, seed: int) -> Reply:
        """As `Subject.answer`.

        Raises:
            InputError: The item has more images than the model takes, or one that is unreadable.
            OverreadError: The server refused the question.
        """
        limit = self._endpoint.max_images
        if limit is not None and len(item.images) > limit:
            raise InputError(f"the item has {len(item.images)} images; {self.name} takes {limit}")
        size = self._endpoint.image_size
        urls = await in_thread(lambda: picture_urls(item, size))
        output = await self._generate(direct_messages(urls, prompt), seed)
        text = output.completion.strip()
        return Reply(
            text=text,
            confidence=_confidence(output),
            abstained=abstains(text),
            detail={"tokens": output.usage.output_tokens if output.usage else None},
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._model is not None:
            await self._model.api.aclose()
            self._model = None

    async def _generate(self, messages: Sequence[Message], seed: int) -> ModelOutput:
        said = [_message(message) for message in messages]
        try:
            output = await self._open().generate(
                said, config=GenerateConfig(seed=seed, logprobs=self._logprobs or None)
            )
        except Exception as error:  # inspect_ai and tenacity wrap what the client raised
            cause = transport_error(error)
            if not isinstance(cause, openai.APIStatusError) or is_passing(error):
                raise
            if self._logprobs and "logprob" in cause.message:
                self._logprobs = False
                return await self._generate(messages, seed)
            raise self._refused(cause.status_code, cause.message) from error
        if output.error or not output.choices:
            raise self._refused(None, output.error or "no reply")
        if output.choices[0].stop_reason == "model_length":  # the prompt did not fit
            raise self._refused(400, output.completion)
        return output

    def _refused(self, status: int | None, why: str) -> OverreadError:
        http = f" (HTTP {status})" if status else ""
        return OverreadError(
            f"{self.name} refused the question{http}: {' '.join(why.split())[:200]}"
        )

    def _open(self) -> Model:
        """Return the model; it is made in the event loop that uses it."""
        if self._model is None:
            end = self._endpoint
            self._model = get_model(
                f"openai-api/{SERVICE}/{end.model}",
                base_url=end.url,
                api_key=end.api_key or "none",
                config=GenerateConfig(
                    temperature=0.0,
                    max_tokens=end.max_tokens,
                    max_connections=end.concurrency,
                    max_retries=0,  # `Patience` asks again: for every kind of subject alike
                ),
                memoize=False,
                client_timeout=end.timeout_s,
                max_retries=0,
            )
        return self._model


def _message(message: Message) -> ChatMessage:
    if message["role"] == "system":
        return ChatMessageSystem(content=message["content"])
    parts: list[Content] = [
        ContentText(text=part["text"])
        if part["type"] == "text"
        else ContentImage(image=part["image_url"]["url"])
        for part in message["content"]
    ]
    return ChatMessageUser(content=parts)


def _confidence(output: ModelOutput) -> float | None:
    logprobs = output.choices[0].logprobs
    if logprobs is None or not logprobs.content:
        return None
    mean = sum(token.logprob for token in logprobs.content) / len(logprobs.content)
    return min(1.0, math.exp(mean))
