"""Talk to the planner's server. Knows HTTP and its failures, not what a step means."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import openai
from langchain_core.tools import BaseTool
from openai.types.chat import ChatCompletionChunk

from overread.agent import native
from overread.agent.config import PlannerConfig
from overread.agent.profiles import Profile
from overread.agent.prompts import Message
from overread.imaging.errors import NoUsableReply, PlannerUnavailable

OnText = Callable[[str], None]
ToolChoice = Literal["auto", "none", "required"]
_ATTEMPTS, _PAUSE_S = 2, 0.5
_ENDLESS = {"max_pattern_size": 32, "min_count": 8}
"""Up to so many tokens, so often without a break: such a reply is no step, and ends at its limit."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and seconds of one reply."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Planner:
    """An async client of one served model. One instance serves many questions at once."""

    def __init__(self, config: PlannerConfig, profile: Profile, temperature: float = 0.0) -> None:
        """Prepare the client; nothing is sent yet.

        Args:
            config: Where it is served.
            profile: Of the model.
            temperature: Of the replies; 0 takes the likeliest token.
        """
        self.profile = profile
        self._temperature = temperature
        self._url = config.url
        self._timeout_s = config.timeout_s
        # A field of vLLM's own; another endpoint may refuse what it does not know.
        self._own = {} if config.base_url else {"extra_body": {"repetition_detection": _ENDLESS}}
        self._client = openai.AsyncOpenAI(
            base_url=config.url,
            api_key=config.api_key or "none",
            timeout=config.timeout_s,
            max_retries=0,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def step(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any],
        tools: Sequence[BaseTool] = (),
        tool_choice: ToolChoice = "auto",
        on_text: OnText | None = None,
    ) -> tuple[str, Spent]:
        """Return the planner's next step as JSON text.

        Args:
            messages: The session as rendered by `prompts`.
            schema: Constrains the reply, unless the profile uses the model's own tool calls.
            tools: Offered to models with tool calls of their own.
            tool_choice: Whether such a model may call them, must not, or must.
            on_text: Called with every piece of the raw reply.

        Raises:
            PlannerUnavailable: No reply; one sentence says why and what to do.
        """
        if self.profile.tool_calls == "native":
            offer = {"tools": native.functions(tools), "tool_choice": tool_choice} if tools else {}
            reply, spent = await self._chat(native.history(messages), on_text, **offer)
            return reply.step(), spent
        strict = {"name": "step", "schema": schema, "strict": True}
        reply, spent = await self._chat(
            messages, on_text, response_format={"type": "json_schema", "json_schema": strict}
        )
        return reply.content, spent

    async def write(
        self, messages: Sequence[Message], max_tokens: int | None = None
    ) -> tuple[str, Spent]:
        """Return free text.

        Raises:
            PlannerUnavailable: As in `step`.
        """
        limit = {"max_tokens": max_tokens} if max_tokens else {}
        reply, spent = await self._chat(messages, None, **limit)
        return reply.content, spent

    async def models(self) -> list[str]:
        """Return the names that the server answers to.

        Raises:
            PlannerUnavailable: It is not there.
        """
        try:
            return [model.id async for model in self._client.models.list()]
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise self._explain(error, started=False) from error

    async def _chat(
        self, messages: Sequence[Message], on_text: OnText | None, **options: Any
    ) -> tuple[native.Received, Spent]:
        began = time.perf_counter()
        for attempt in range(1, _ATTEMPTS + 1):
            received = native.Received()
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._stream(messages, received, on_text, options)
                break
            except TimeoutError as error:
                raise PlannerUnavailable(
                    f"the planner at {self._url} gave no complete reply within "
                    f"{self._timeout_s:g} s; ask again, or raise planner.timeout_s"
                ) from error
            except (openai.OpenAIError, httpx2.HTTPError) as error:
                if attempt < _ATTEMPTS and not received.started and _is_passing(error):
                    await asyncio.sleep(_PAUSE_S)
                    continue
                if isinstance(error, openai.NotFoundError):
                    raise await self._wrong_model() from error
                raise self._explain(error, received.started) from error
        spent = Spent(
            received.prompt_tokens, received.completion_tokens, time.perf_counter() - began
        )
        return received, spent

    async def _stream(
        self,
        messages: Sequence[Message],
        received: native.Received,
        on_text: OnText | None,
        options: dict[str, Any],
    ) -> None:
        request: dict[str, Any] = {
            "model": self.profile.request_model,
            "messages": list(messages),
            "temperature": self._temperature,
            "max_tokens": self.profile.max_output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self._own,
        }
        stream: openai.AsyncStream[ChatCompletionChunk]
        stream = await self._client.chat.completions.create(**request | options)
        async with stream:
            async for chunk in stream:
                piece = received.add(chunk)
                if piece and on_text:
                    on_text(piece)
        if not received.finished:
            raise httpx2.RemoteProtocolError("the stream ended before the reply did")

    async def _wrong_model(self) -> PlannerUnavailable:
        name = self.profile.request_model
        try:
            served = ", ".join(await self.models())
        except PlannerUnavailable as error:
            return error
        return PlannerUnavailable(
            f"the server at {self._url} has no model '{name}' (it serves: {served or 'none'}); "
            "choose the profile that fits with planner.profile"
        )

    def _explain(self, error: Exception, started: bool) -> PlannerUnavailable:
        where = f"the planner at {self._url}"
        if isinstance(error, openai.APITimeoutError):
            text = f"{where} gave no reply within {self._timeout_s:g} s; ask again"
        elif isinstance(error, openai.APIStatusError):
            text = _explain_status(where, error)
        elif started or isinstance(error, httpx2.RemoteProtocolError):
            text = f"{where} stopped in the middle of a reply; run 'overread serve' and ask again"
        else:
            text = f"no planner is running at {self._url}; start it with 'overread serve'"
        if isinstance(error, openai.BadRequestError):
            return NoUsableReply(text)
        return PlannerUnavailable(text)


def _is_passing(error: Exception) -> bool:
    """Whether the failure may be over in a moment: overload, not refusal."""
    return isinstance(error, openai.RateLimitError | openai.InternalServerError)


def _explain_status(where: str, error: openai.APIStatusError) -> str:
    detail = " ".join(str(error.message).split())[:200]
    if error.status_code in (401, 403):
        return f"{where} refused the key; set planner.api_key"
    if error.status_code == 400:
        return f"{where} refused the request: {detail}"
    return f"{where} failed (HTTP {error.status_code}: {detail}); see its log, then ask again"
